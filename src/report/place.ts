/** Where a label of a chart goes: off the curves and off the labels that are there already. */

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

type Pixel = readonly [x: number, y: number];

/** What is drawn, in pixels, and the labels placed among it so far. */
export class Room {
  readonly #lines: readonly (readonly Pixel[])[];
  readonly #floor: number;
  readonly #taken: Box[] = [];

  /** @param floor where the picture ends below */
  constructor(lines: readonly (readonly Pixel[])[], floor = Number.POSITIVE_INFINITY) {
    this.#lines = lines;
    this.#floor = floor;
  }

  /**
   * Takes a place for a label. @param choices the best first; at least one
   * @returns the first that meets nothing, else the first of those that meet least
   */
  take<T extends Box>(choices: readonly T[]): T {
    let [best] = choices;
    let least = Number.POSITIVE_INFINITY;
    for (const choice of choices) {
      const met = this.#meets(choice);
      if (met < least) [best, least] = [choice, met];
      if (met === 0) break;
    }
    this.#taken.push(best);
    return best;
  }

  /** How many segments and labels a box meets; a label, and the picture's end, count as many. */
  #meets(box: Box): number {
    let count = box.y + box.height > this.#floor ? 20 : 0;
    for (const line of this.#lines) {
      for (let i = 1; i < line.length; i++) if (crosses(line[i - 1], line[i], box)) count++;
    }
    for (const other of this.#taken) {
      const apart =
        box.x >= other.x + other.width ||
        other.x >= box.x + box.width ||
        box.y >= other.y + other.height ||
        other.y >= box.y + box.height;
      if (!apart) count += 20;
    }
    return count;
  }
}

/** Whether a segment has a point in a box: what is left of it when cut at the four sides (Liang and Barsky 1984). */
export function crosses([ax, ay]: Pixel, [bx, by]: Pixel, box: Box): boolean {
  let from = 0;
  let to = 1;
  for (const [step, room] of [
    [ax - bx, ax - box.x],
    [bx - ax, box.x + box.width - ax],
    [ay - by, ay - box.y],
    [by - ay, box.y + box.height - ay],
  ]) {
    if (step === 0 && room < 0) return false;
    if (step < 0) from = Math.max(from, room / step);
    if (step > 0) to = Math.min(to, room / step);
  }
  return from <= to;
}
