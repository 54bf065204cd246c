/**
 * Seeded mutations of files, and what every reader has to do with them: read what is there, or refuse it with a UserError.
 *
 * Bytes are flipped, swapped, cut out, doubled and put in; texts get numbers and words that are known to hurt. Every case
 * follows from its seed, so a failure names all that is needed to repeat it.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, expect } from "vitest";
import { UserError } from "../../src/util/errors.ts";

/** Uniform whole numbers from a seed (mulberry32): quick, which is all that is asked of it here. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  }

  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }
}

const bytes = [
  0, 1, 0x7f, 0x80, 0xff, 0x20, 0x22, 0x2c, 0x30, 0x39, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d, 0x0a, 0x2d, 0x65,
];

/** Numbers and words that have broken readers. */
const words = [
  ...["0", "-1", "1", "2", "255", "65536", "2147483648", "4294967295", "9007199254740992", "9007199254740993"],
  ...["9223372036854775808", "18446744073709551616", "1e308", "1e999", "-0", "0.5", "1E2", "NaN", "null", "true", "{}"],
  ...["[]", '""', '"\\ud800"', '"__proto__"', '"constructor"', '"../../x"', '"/etc/passwd"', "[[[[]]]]", '"\\u0000"'],
];

/** One to four changes, or at most so many. @param other another file of the kind, whose parts may be put in */
export function mutate(file: Uint8Array, dice: Dice, other: Uint8Array = file, most = 4): Uint8Array {
  let now = file;
  for (let left = 1 + dice.below(most); left > 0; left--) now = once(now, dice, other);
  return now;
}

function once(file: Uint8Array, dice: Dice, other: Uint8Array): Uint8Array {
  if (file.length === 0) return other.slice();
  const at = dice.below(file.length);
  const short = Math.min(file.length - at, 1 + dice.below(16));
  switch (dice.below(9)) {
    case 0: {
      const copy = file.slice();
      copy[at] ^= 1 << dice.below(8);
      return copy;
    }
    case 1: {
      const copy = file.slice();
      copy[at] = dice.of(bytes);
      return copy;
    }
    case 2: {
      // Two stretches change places.
      const to = dice.below(file.length - short + 1);
      const copy = file.slice();
      copy.set(file.subarray(at, at + short), to);
      copy.set(file.subarray(to, to + short), Math.min(at, file.length - short));
      return copy;
    }
    case 3:
      return join3(file.subarray(0, at), file.subarray(at + short));
    case 4:
      return join3(file.subarray(0, at), file.subarray(at, at + short), file.subarray(at));
    case 5:
      return file.slice(0, at);
    case 6: {
      const from = dice.below(other.length);
      return join3(file.subarray(0, at), other.subarray(from, from + dice.below(64)), file.subarray(at));
    }
    default:
      return inText(file, at, dice);
  }
}

/** Replaces the number or the string after a place by another. */
function inText(file: Uint8Array, at: number, dice: Dice): Uint8Array {
  let start = at;
  while (start < file.length && !isDigit(file[start]) && file[start] !== 0x22) start++;
  let end = start + 1;
  if (file[start] === 0x22) while (end < file.length && file[end++] !== 0x22) {}
  else while (end < file.length && isDigit(file[end])) end++;
  return join3(file.subarray(0, start), new TextEncoder().encode(dice.of(words)), file.subarray(end));
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function join3(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A folder in memory where there is such a file system, else an ordinary one. */
export function quickFolder(): string {
  const shared = "/dev/shm";
  const inMemory = statSync(shared, { throwIfNoEntry: false })?.isDirectory() === true;
  const folder = mkdtempSync(join(inMemory ? shared : tmpdir(), "bert2bert-fuzz-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What came of many cases. */
export interface Tally {
  read: number;
  refused: number;
  /** By the beginnings of the messages. */
  readonly reasons: Map<string, number>;
}

/**
 * Runs cases until all are done; each must return (it was read, and as it should be) or throw a UserError.
 * @param largest bytes of the largest file; nothing may take more memory than it and 64 MB
 */
export async function fuzz(
  count: number,
  seed: number,
  largest: number,
  one: (dice: Dice) => Promise<void> | void,
): Promise<Tally> {
  const tally: Tally = { read: 0, refused: 0, reasons: new Map() };
  const memory = peakMeter();
  for (let i = 0; i < count; i++) {
    if (i % 2000 === 0) memory.check(largest);
    try {
      await one(new Dice(seed + i));
      tally.read++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`the case of seed ${seed + i}`, { cause: error });
      if (/[\p{Cc}]/u.test(error.what))
        throw new Error(`seed ${seed + i}: control characters in ${JSON.stringify(error.what)}`);
      tally.refused++;
      const reason = error.what
        .replace(/[\d`"].*/s, "")
        .trim()
        .slice(0, 40);
      tally.reasons.set(reason, (tally.reasons.get(reason) ?? 0) + 1);
    }
  }
  memory.check(largest);
  return tally;
}

/** The most memory the process held since the last check, from the kernel's own mark (Linux; nothing elsewhere). */
function peakMeter(): { check(largest: number): void } {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  let start: number | undefined;
  const field = (name: string): number => {
    const text = readFileSync("/proc/self/status", "utf8");
    return 1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  };
  return {
    check(largest) {
      if (process.platform !== "linux") return;
      if (start !== undefined) expect(field("VmHWM") - start, "memory taken").toBeLessThan(largest + 64e6);
      if (typeof collect === "function") collect();
      writeFileSync("/proc/self/clear_refs", "5");
      start = field("VmRSS");
    },
  };
}
