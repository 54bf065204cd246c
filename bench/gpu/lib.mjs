/**
 * What the pieces share: the device, rows of results, and the time that is left.
 *
 * A row is a line of $OUT/results.jsonl, so that what is measured is there whatever happens next. A row that is there is
 * not measured again.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";

/** Small sizes, on whatever device there is: to see that all pieces run. */
export const small = process.env.SMALL === "1";
export const out = process.env.OUT ?? ".";
export const store = process.env.STORE ?? "store";
const path = `${out}/results.jsonl`;

export function rows() {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

const key = ({ piece, what, device }) => JSON.stringify([piece, what, device]);

/** @param row piece, what (its name in the piece), and figures */
export function record(row) {
  const whole = { ...row, device: process.env.DEVICE ?? "", size: small ? "small" : "full" };
  appendFileSync(path, `${JSON.stringify(whole)}\n`);
  console.error(JSON.stringify(whole));
}

export const isDone = (piece, what) =>
  rows().some((row) => row.failed === undefined && key(row) === key({ piece, what, device: process.env.DEVICE ?? "" }));

/** Runs it once, and says what went wrong if something did. */
export async function once(piece, what, measure) {
  if (isDone(piece, what)) return;
  const began = performance.now();
  try {
    const figures = await measure();
    record({ piece, what, ...figures, "took, s": round((performance.now() - began) / 1000, 1) });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    record({ piece, what, failed: text.slice(0, 300) });
  }
}

export const round = (value, digits) => Number(value.toFixed(digits));

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Dense bf16 products without sparsity, TFLOP/s, by NVIDIA's data sheets. */
const PEAKS = [
  [/H100 PCIe/, 756],
  [/H100|H200|GH200/, 989],
  [/A100/, 312],
  [/L40S/, 362],
];
export const peak = PEAKS.find(([pattern]) => pattern.test(process.env.DEVICE ?? ""))?.[1];

/** Seconds that this piece has left of its nine minutes. */
export const left = () => Number(process.env.UNTIL ?? Number.POSITIVE_INFINITY) - Date.now() / 1000;
