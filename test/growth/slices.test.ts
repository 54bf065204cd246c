/** Slices that are under way while the next are made: the same numbers, however long their writes take. */
import { setTimeout as later } from "node:timers/promises";
import { expect, it } from "vitest";
import { Reader } from "../../src/growth/reader.ts";
import { constant, evaluate, gather } from "../../src/growth/recipe.ts";
import { SLICE, SliceMemory, slices } from "../../src/growth/slices.ts";
import { RandomStream } from "../../src/util/random.ts";

const from = { name: "s", shape: [96, 2048] };
const index = Uint32Array.from({ length: 900 }, (_, i) => (i * 7) % 96);
const recipes = [gather(from, [900, 2048], [{ index }, null], ""), constant([5], 3), gather(from, from.shape, [], "")];

function reader(): Reader {
  return new Reader(async (_name, start, count) => Float32Array.from({ length: count }, (_, i) => start + i));
}

it.each(["none", "some", "all"])(
  "stay as they are until they are written, if %s of the writes are slow",
  async (slow) => {
    const expected = await Promise.all(recipes.map((recipe) => evaluate(recipe, reader())));
    const random = new RandomStream(1, slow);
    const memory = new SliceMemory();
    const [source, written] = [
      reader(),
      recipes.map((recipe) => new Float32Array(recipe.shape.reduce((a, b) => a * b))),
    ];
    let [told, most, underWay, number] = [0, 0, 0, 0];
    const writes: Promise<void>[] = [];
    for (const [i, recipe] of recipes.entries()) {
      let at = 0;
      await slices(recipe, source, memory, (count) => {
        told += count;
      }).push({ position: 0, put });
      function put(slice: Float32Array): Promise<void> {
        const [start, wait] = [at, slow === "all" || (slow === "some" && random.uniform(number++) < 0.5)];
        at += slice.length;
        expect(slice.length).toBeLessThanOrEqual(SLICE);
        most = Math.max(most, ++underWay);
        const write = (async () => {
          if (wait) await later(20);
          written[i].set(slice, start);
          underWay--;
        })();
        writes.push(write);
        return write;
      }
    }
    await Promise.all(writes);
    for (const [i, values] of expected.entries())
      expect(Buffer.from(written[i].buffer).equals(Buffer.from(values.buffer))).toBe(true);
    expect(told).toBe(expected.reduce((sum, values) => sum + values.length, 0));
    // Memory is bounded; and where writes are slow, others are under way.
    expect(most).toBeLessThanOrEqual(6);
    if (slow === "all") expect(most).toBeGreaterThan(1);
  },
);

it("end with a write that failed", async () => {
  const memory = new SliceMemory();
  let puts = 0;
  const put = async () => {
    if (++puts === 3) throw new Error("full");
  };
  const push = slices(constant([100, SLICE], 1), reader(), memory).push({ position: 0, put });
  await expect(push).rejects.toThrow("full");
  expect(puts).toBeLessThan(12);
});
