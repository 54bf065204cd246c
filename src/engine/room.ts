interface Part {
  readonly start: number;
  readonly end: number;
}

/** Which parts of a memory are free. What is asked for gets the first that is long enough. */
export class Room {
  /** In order, none adjacent to another. */
  #free: Part[];

  constructor(start: number, end: number) {
    this.#free = [{ start, end }];
  }

  /** Where so many bytes lie from now on; undefined if there is no room for them. */
  take(bytes: number): number | undefined {
    const at = this.#free.findIndex(({ start, end }) => end - start >= bytes);
    if (at < 0) return undefined;
    const { start, end } = this.#free[at];
    this.#free.splice(at, 1, ...(end - start > bytes ? [{ start: start + bytes, end }] : []));
    return start;
  }

  give(start: number, bytes: number): void {
    const merged: Part[] = [];
    for (const range of [...this.#free, { start, end: start + bytes }].sort((a, b) => a.start - b.start)) {
      const last = merged.at(-1);
      if (last?.end === range.start) merged[merged.length - 1] = { start: last.start, end: range.end };
      else merged.push(range);
    }
    this.#free = merged;
  }

  /** The last part that is free. */
  get last(): Part | undefined {
    return this.#free.at(-1);
  }
}

/** Bytes in whole stretches of 128: cache lines, and what a kernel writes at once. */
export const padded = (bytes: number): number => Math.max(128, Math.ceil(bytes / 128) * 128);
