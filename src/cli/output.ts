/**
 * What commands print. Results go to stdout, one JSON value with `--json`; progress goes to stderr: on a terminal one
 * line that is rewritten, elsewhere one line a minute. Colour only on a terminal and without NO_COLOR.
 */
import { styleText } from "node:util";

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One JSON value from plain data, indented for a person, keys in the order given. */
export function printJson(value: object): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** The progress whose line stands on the terminal. */
let shown: Progress | undefined;

/** To stderr, beside the results. */
export function note(text: string): void {
  shown?.end();
  process.stderr.write(`${text}\n`);
}

/** Whether a stream takes colours. */
export function coloured(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, TERM } = process.env;
  return stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === "") && TERM !== "dumb";
}

type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";

/** Text for stdout in a colour, where it takes colours. */
export function styled(style: Style, text: string): string {
  return coloured(process.stdout) ? styleText(style, text) : text;
}

/** Columns as wide as their widest cell; numbers (cells that start with a digit or sign) stand to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (/^[-+]?[\d.]/.test(cell) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}

/** The state of something long, on stderr. */
export class Progress {
  readonly #terminal = process.stderr.isTTY === true;
  #last: number;

  /** @param brief what is often done at once: without a terminal its first line comes after a minute */
  constructor(brief = false) {
    this.#last = brief && !this.#terminal ? performance.now() : Number.NEGATIVE_INFINITY;
  }

  /** Shows the line if it is time: ten times a second on a terminal, else once a minute. */
  update(line: () => string): void {
    const now = performance.now();
    if (now - this.#last < (this.#terminal ? 100 : 60_000)) return;
    this.#last = now;
    if (this.#terminal) {
      const width = process.stderr.columns ?? 80;
      process.stderr.write(`\r\x1b[2K${line().slice(0, width - 1)}`);
      shown = this;
    } else {
      note(line());
    }
  }

  /** Removes the line from a terminal; a last word may take its place. */
  end(lastWord?: string): void {
    if (shown === this) {
      process.stderr.write("\r\x1b[2K");
      shown = undefined;
    }
    if (lastWord !== undefined) note(lastWord);
  }
}

interface Speed {
  readonly loss?: number;
  readonly tokensPerSecond?: number;
  readonly secondsLeft?: number;
}

/** How far a run is: words for where, then what is known of its loss and speed. */
export function runLine(where: string, { loss, tokensPerSecond, secondsLeft }: Speed, digits = 4): string {
  const parts = [where];
  if (loss !== undefined) parts.push(`loss ${loss.toFixed(digits)}`);
  if (tokensPerSecond !== undefined) parts.push(`${formatCount(tokensPerSecond)} tokens/s`);
  if (secondsLeft !== undefined) parts.push(`${formatDuration(secondsLeft)} left`);
  return parts.join(", ");
}

/** "1.3 GB" (powers of ten, as transformers' shard sizes). */
export function formatBytes(bytes: number): string {
  return scaled(bytes, ["B", "kB", "MB", "GB", "TB"], " ");
}

/** "110M". */
export function formatCount(count: number): string {
  return scaled(count, ["", "k", "M", "G", "T"], "");
}

/** "1 h 02 min", "3 min 20 s", "12 s". @param seconds not negative */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
  if (whole >= 60) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return seconds < 9.95 ? `${seconds.toFixed(1)} s` : `${whole} s`;
}

function scaled(value: number, units: readonly string[], space: string): string {
  let i = 0;
  let left = value;
  while (left >= 999.5 && i < units.length - 1) {
    left /= 1000;
    i++;
  }
  const digits = i === 0 || left >= 99.95 ? 0 : 1;
  return `${left.toFixed(digits)}${units[i] === "" ? "" : space}${units[i]}`;
}
