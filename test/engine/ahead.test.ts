/** Runs that nobody awaits before the next, on every engine: as if each had been awaited. */
import { expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { xlaEngine } from "../../src/engine/xla/engine.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import * as ops from "../../src/program/ops/index.ts";
import { usableEngines } from "./compare.ts";

/** state ← ½ state + x; gives the largest number of the state before. */
async function counting(engine: Engine) {
  const b = new ProgramBuilder();
  const state = b.state("s", [500, 500]);
  b.update("s", ops.add(b, ops.scale(b, state, 0.5), b.input("x", [])));
  b.output("largest", ops.reduceMax(b, state, [0, 1]));
  await engine.write("s", [500, 500], new Float32Array(250_000));
  return engine.compile(b.build());
}

test.each([referenceEngine, ...(await usableEngines())])(
  "on $kind inputs are copied at the call, and runs and reads keep their order",
  async (kind) => {
    const engine = await kind.open({ threads: 1, precision: "f32" });
    const program = await counting(engine);
    const x = new Float32Array(1);
    const before: Promise<number>[] = [];
    const reads: Promise<number>[] = [];
    const expected: { readonly before: number; readonly after: number }[] = [];
    let state = 0;
    for (let i = 0; i < 30; i++) {
      x[0] = i;
      before.push(program.run({ x }).then(({ largest }) => largest[0]));
      reads.push(engine.read("s").then((data) => data[123]));
      const after = Math.fround(0.5 * state + i);
      expected.push({ before: state, after });
      state = after;
    }
    x[0] = Number.NaN;
    expect(await Promise.all(reads)).toEqual(expected.map(({ after }) => after));
    expect(await Promise.all(before)).toEqual(expected.map((one) => one.before));
    await engine.close();
  },
);

const found = await xlaEngine.probe();

test.skipIf(!found.usable)("a snapshot stays as it was while runs go on, until it is let go", async () => {
  const engine = await xlaEngine.open({ threads: 1, precision: "f32" });
  const program = await counting(engine);
  const x = Float32Array.of(3);
  await program.run({ x });
  const snapshot = await engine.snapshot?.(["s"]);
  const runs = Array.from({ length: 20 }, () => program.run({ x }));
  const kept = await snapshot?.read("s");
  expect(kept?.length).toBe(250_000);
  expect(kept?.every((value) => value === 3)).toBe(true);
  await Promise.all(runs);
  expect((await engine.read("s"))[7]).toBeCloseTo(6, 4);
  await snapshot?.release();
  await expect(snapshot?.read("s")).rejects.toThrow();
  await expect(engine.snapshot?.(["t"])).rejects.toThrow("the engine holds no tensor t");
  await engine.close();
});
