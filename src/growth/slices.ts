/**
 * A grown tensor's values, a slice of whole rows at a time, worked out while those before are written and hashed.
 */
import { setImmediate as immediate } from "node:timers/promises";
import type { PushedSlices } from "../checkpoint/write.ts";
import { PageMemory } from "../store/direct.ts";
import type { Reader } from "./reader.ts";
import { type Recipe, rowCount, rowWidth } from "./recipe.ts";

/** Elements worked out at a time: they stay in the cache of a core until they are written, and cost little a turn. */
export const SLICE = 2 ** 19;

/** So many slices are under way at once: enough that nobody waits where making, hashing and writing take turns at being slow. */
const UNDER_WAY = 6;

/** The memory of the slices, which all tensors of a file take by turns. */
export class SliceMemory {
  readonly #pieces: PageMemory[] = [];
  readonly #writes: Promise<void>[] = [];
  #turn = 0;

  /**
   * Waits for the slice that was written longest ago and gives its memory, which is shared, so that another thread can
   * hash it in place. @param position where in a file the slice will begin @throws whatever that write failed with
   */
  async next(length: number, position: number): Promise<Float32Array> {
    this.#turn = (this.#turn + 1) % UNDER_WAY;
    await this.#writes[this.#turn];
    if ((this.#pieces[this.#turn]?.length ?? 0) < length * 4) {
      this.#pieces[this.#turn] = new PageMemory(Math.max(length, SLICE) * 4);
    }
    return this.#pieces[this.#turn].numbers(length, position);
  }

  /** The slice given last is in use until this is settled. */
  lend(written: Promise<void>): void {
    this.#writes[this.#turn] = written;
  }
}

/** @param tell is told how many numbers were written */
export function slices(
  recipe: Recipe,
  source: Reader,
  memory: SliceMemory,
  tell: (count: number) => void = () => {},
): PushedSlices {
  const width = rowWidth(recipe.shape);
  const rows = rowCount(recipe.shape);
  const step = Math.min(rows, Math.max(1, Math.floor(SLICE / width)));
  return {
    async push(to) {
      for (let row = 0; row < rows; row += step) {
        const slice = await memory.next(Math.min(step, rows - row) * width, to.position);
        // What the slices before have come to is heard of between two of them: the next write starts.
        await immediate();
        await source.release();
        await recipe.fill(slice, row, source);
        const written = to.put(slice).then(() => tell(slice.length));
        written.catch(() => {});
        memory.lend(written);
      }
    },
  };
}
