/**
 * Every operation on every engine that can run here, against the reference engine, which computes in float64. The inputs are the same
 * f32 numbers, so what differs is rounding inside: a few units in the last place (1.2e-7) of the largest number, times
 * the square root of how many are added (at most some hundreds here): 1e-5 covers it, 1e-6 what is not a sum.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, EngineKind } from "../../src/engine/engine.ts";
import * as ops from "../../src/program/ops/index.ts";
import { cases } from "./cases.ts";
import { Bench, gap, openReference, sameBytes, usableEngines } from "./compare.ts";

const kinds = await usableEngines();

test("every operation has a case", () => {
  expect(Object.keys(cases).sort()).toEqual(ops.operations.map(({ name }) => name).sort());
});

/** The engines in f32, and in bf16 those that have it: 8 bits of an operand, so a result to a hundredth or so. */
const inHalves = async (kind: EngineKind) =>
  kind.open({ threads: 1, precision: "bf16" }).then(
    async (opened) => {
      await opened.close();
      return [{ kind: `${kind.kind} in bf16`, open: kind.open, precision: "bf16", least: 0.02 } as const];
    },
    (error: Error) => {
      console.warn(`skipped: ${kind.kind} in bf16 (${error.message})`);
      return [];
    },
  );
const opened = [
  ...kinds.map(({ kind, open }) => ({ kind, open, precision: "f32", least: 0 }) as const),
  ...(await Promise.all(kinds.map(inHalves))).flat(),
];

describe.each(opened)("on $kind", ({ open, precision, least }) => {
  let engine: Engine;
  let reference: Engine;
  beforeAll(async () => {
    engine = await open({ threads: 2, precision });
    reference = await openReference();
  });
  afterAll(async () => {
    await engine.close();
    await reference.close();
  });

  for (const [name, { within = 1e-6, builds }] of Object.entries(cases)) {
    test(`${name} as the reference has it`, async () => {
      for (const build of builds) {
        const bench = new Bench();
        build(bench).forEach((value, i) => {
          bench.b.output(`${i}`, value);
        });
        const program = bench.b.build();
        const [mine, theirs] = [await engine.compile(program), await reference.compile(program)];
        const [actual, expected] = [await mine.run(bench.inputs), await theirs.run(bench.inputs)];
        expect(Object.keys(actual)).toEqual(Object.keys(expected));
        for (const key of Object.keys(expected)) {
          expect(gap(actual[key], expected[key])).toBeLessThanOrEqual(within === 0 ? 0 : Math.max(within, least));
          if (within === 0) expect(sameBytes(actual[key], expected[key])).toBe(true);
        }
        await mine.release();
        await theirs.release();
      }
    });
  }
});
