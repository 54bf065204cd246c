import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { openModel } from "../../src/model/load.ts";
import { readProbeInputs } from "../../src/probe/inputs.ts";
import { probe } from "../../src/probe/probe.ts";
import { usableEngines } from "../engine/compare.ts";
import { fixture } from "../support.ts";
import { disagreements, readTensors } from "./fixtures.ts";

describe.each([referenceEngine, ...(await usableEngines())])("on $kind", (kind) => {
  test.each(readdirSync(fixture("")).filter((name) => name.endsWith("-tiny")))(
    "%s computes what transformers computes",
    async (name) => {
      const { model, weights, close } = await openModel(fixture(name));
      const inputs = await readProbeInputs(fixture(name, "inputs.safetensors"), model);
      const engine = await kind.open({ threads: 2, precision: "f32" });
      const found = await probe(model, weights, inputs, engine, { gradients: true });
      await engine.close();
      await close();
      const expected = await readTensors(fixture(name, "expected.safetensors"));
      expect(disagreements(found, expected)).toEqual([]);
      // Nothing less, and nothing more than is expected.
      const names = [...expected.keys()].filter((one) => !one.startsWith("step3/"));
      expect([...found.keys()].sort()).toEqual(names.sort());
    },
  );
});
