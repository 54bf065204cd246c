/** What a command takes: time, processor time, memory. For the benches that start commands as a user does. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Measured {
  /** Seconds from start to end. */
  readonly wall: number;
  /** Seconds of processor time, user and system, of the process itself (not of what it starts). */
  readonly cpu: number;
  /** Largest resident memory, in MB (10^6 bytes). */
  readonly peak: number;
}

/** Runs a command to its end. Its peak is the kernel's own mark (VmHWM), read until it ends. */
export function measure(command: string, args: readonly string[]): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let peak = 0;
    let cpu = 0;
    let complaint = "";
    const look = () => {
      try {
        const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
        peak = Math.max(peak, (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024) / 1e6);
        const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8")
          .replace(/^.*\) /s, "")
          .split(" ");
        // In ticks of 1/100 s, as Linux shows them.
        cpu = Math.max(cpu, (Number(fields[11]) + Number(fields[12])) / 100);
      } catch {
        // It has just ended.
      }
    };
    const watch = setInterval(look, 5);
    child.stderr.on("data", (text) => {
      complaint += text;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(watch);
      if (code === 0) resolve({ wall: (performance.now() - start) / 1000, cpu, peak });
      else reject(new Error(`${command} ${args.join(" ")} ended with ${code}\n${complaint}`));
    });
  });
}

/** Smallest, middle and largest. */
export function spread(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, middle, high] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((i) =>
    sorted[i].toFixed(digits),
  );
  return `${middle} (${low}–${high})`;
}

/** The median; of an even number of values the upper of the two. */
export function middle(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
}
