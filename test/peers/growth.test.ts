/**
 * Growth against growth.py, an account of it in PyTorch written from the method alone: equal weight by weight; what is
 * written opens in transformers with nothing missing or unexpected and computes the same there.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { applyGrowth } from "../../src/growth/apply.ts";
import { type GrowthChoices, planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { openModel } from "../../src/model/load.ts";
import { probe } from "../../src/probe/probe.ts";
import { randomInputs } from "../../src/probe/verify.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { reference } from "../growth/support.ts";
import { fixture, python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "safetensors"]);

const methods: [string, GrowthChoices][] = [
  ["fpi-cyclic", { method: "fpi" }],
  ["fpi-shuffled", { method: "fpi", map: "shuffled", seed: 11 }],
  ["fpi-random", { method: "fpi", map: "random", seed: 12 }],
  ["aki-all", { method: "aki", map: "random", seed: 13 }],
  ["aki-units-lower", { method: "aki", options: { scope: "units", readout: "lower" }, map: "shuffled", seed: 14 }],
  ["aki-units-upper", { method: "aki", options: { scope: "units", readout: "upper" }, map: "shuffled", seed: 15 }],
  ["direct", { method: "direct", seed: 16 }],
];

interface Checked {
  readonly case: string;
  readonly tensors: number;
  readonly different: readonly string[];
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly mismatched: readonly string[];
  readonly logits: number;
}

/** Those that growth.py's own growth knows; what is promised of the others: lossless-today.test.ts. */
const fixtures = ["bert-tiny", "roberta-tiny", "gpt2-tiny"];

describe.skipIf(peer === undefined)("growth against PyTorch", () => {
  it("equals an independent reference weight by weight, opens in transformers, and computes the same there", async () => {
    const root = temporaryFolder();
    const expected: string[] = [];
    for (const name of fixtures) {
      const source = await openModel(fixture(name));
      const { heads, hidden, layers, ffn } = source.model.dimensions;
      /** Heads by one, to 2 and to 3 times the width; the FFN beside it at a ratio of its own. */
      const sizes: [string, TargetSizes][] = [
        ["1.x", { heads: heads + 1, ffn: ffn + 37 }],
        ["2", { hidden: 2 * hidden, layers: layers + 2 }],
        ["3", { hidden: 3 * hidden, ffn: 2 * ffn }],
      ];
      const cases: [string, TargetSizes, GrowthChoices][] = [];
      for (const [method, choices] of methods) {
        for (const [width, size] of sizes) {
          const depths = "layers" in size ? ["stack", "interleave", "zero"] : ["stack"];
          // One width is enough for the depths; every method meets an uneven ratio and a multiple.
          for (const depth of method.startsWith("fpi-c") || method === "aki-all" ? depths : depths.slice(0, 1)) {
            if (width === "3" && method !== "fpi-shuffled") continue;
            cases.push([`${name}-${method}-${width}-${depth}`, size, { ...choices, depth }]);
          }
        }
      }
      for (const [label, size, choices] of cases) {
        const out = join(root, label);
        const plan = planGrowth(source.model, resizedModel(source.model, size), choices);
        await applyGrowth(plan, source, out, { dtype: label.includes("random") ? "BF16" : "F32" });
        const grown = await openModel(out);
        const inputs = randomInputs(grown.model, 3, 2, 9);
        const engine = await reference();
        const { logits } = Object.fromEntries(
          await probe(grown.model, grown.weights, inputs, engine, { gradients: false }),
        );
        await engine.close();
        await grown.close();
        const write = (file: string, tensors: Record<string, { shape: readonly number[]; data: Float32Array }>) =>
          writeWeights(
            root,
            Object.entries(tensors).map(([tensor, { shape, data }]) => ({
              name: tensor,
              dtype: "F32",
              shape,
              data: async () => data,
            })),
            { fileName: file },
          );
        const shape = [inputs.batch, inputs.length];
        await write(`${label}.inputs.safetensors`, {
          input_ids: { shape, data: Float32Array.from(inputs.ids) },
          attention_mask: { shape, data: inputs.mask ?? new Float32Array(inputs.ids.length).fill(1) },
          ...(inputs.types === undefined ? {} : { token_type_ids: { shape, data: Float32Array.from(inputs.types) } }),
        });
        await write(`${label}.logits.safetensors`, { logits });
        expected.push(label);
      }
      await source.close();
    }
    const script = readFileSync(join(packageRoot(), "test", "peers", "growth.py"), "utf8");
    const printed = peer?.run(script, [root, ...fixtures.map((name) => fixture(name))]) ?? "";
    const results = printed
      .trim()
      .split("\n")
      .map((line): Checked => JSON.parse(line));
    expect(results.map((result) => result.case).sort()).toEqual(expected.sort());
    for (const result of results) {
      expect(result).toMatchObject({ different: [], missing: [], unexpected: [], mismatched: [] });
      expect(result.tensors).toBeGreaterThan(20);
      expect(result.logits, result.case).toBeLessThan(2e-5);
    }
    console.info(
      `${results.length} growths equal the reference; logits within ${Math.max(...results.map((r) => r.logits)).toExponential(1)}`,
    );
  });
});
