import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { FloatDType } from "../../src/checkpoint/dtype.ts";
import { onnxEngine } from "../../src/engine/onnx/onnx.ts";
import { makeMap, type UnitMap } from "../../src/growth/maps.ts";
import type { GrowthChoices } from "../../src/growth/plan.ts";
import type { Axis } from "../../src/model/table.ts";
import { type Computes, compareOutputs, paddedInputs, randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { cli, fixture, fixtures, temporaryFolder } from "../support.ts";
import { grown, measure, planOf, reference, source } from "./support.ts";

describe.each(fixtures)("%s on the embedded engine", (name) => {
  it("keeps its function at multiples of the width, in the FFN alone, and in depth", async () => {
    const engine = () => onnxEngine.open({ threads: 2, precision: "f32" });
    const { model } = await source(name);
    const { hidden, ffn, layers } = model.dimensions;
    const inputs = randomInputs(model, 2, 4, 24);
    for (const [sizes, choices] of [
      [{ hidden: 2 * hidden }, { method: "fpi", map: "shuffled", seed: 1 }],
      [{ hidden: 3 * hidden, ffn: 4 * ffn }, { method: "fpi" }],
      [{ ffn: ffn + 77 }, { method: "fpi", map: "random" }],
      [
        { hidden: 2 * hidden, layers: 2 * layers + 1 },
        { method: "fpi", depth: "zero" },
      ],
    ] as const) {
      const result = await measure(name, sizes, choices, { engine, inputs });
      expect(result.plan.promise.kind).not.toBe("none");
      expect(result.kept).toBe(true);
      expect(result.largest).toBeLessThanOrEqual(1e-5);
    }
  });
});

describe("verification", () => {
  const maps = (hidden: number) => {
    const map = makeMap("cyclic", 4, hidden, 0, "");
    return new Map<Axis, UnitMap>([
      ["hidden", map],
      ["kv", map],
      ["ffn", map],
    ]);
  };

  it("allows what rounding costs in the model at hand: nothing where shares are powers of two, more for larger weights", async () => {
    const sizes = (times: number) => ({ hidden: times * 64 });
    const allowed = async (times: number, choices: GrowthChoices, dtype: FloatDType) => {
      const { hidden } = (await source("gpt2-tiny")).model.dimensions;
      expect(hidden).toBe(64);
      const found = await measure("gpt2-tiny", sizes(times), choices, { dtype });
      expect(found.kept).toBe(true);
      return found.allowed;
    };
    const fpi = { method: "fpi" };
    expect(await allowed(3, fpi, "F32")).toBe(1e-5);
    expect(await allowed(2, fpi, "BF16")).toBe(1e-5);
    const [half, brain] = [await allowed(3, fpi, "F16"), await allowed(3, fpi, "BF16")];
    expect(half).toBeGreaterThan(1e-5);
    // Three bits more.
    expect(Number(brain) / Number(half)).toBeGreaterThan(4);
    expect(Number(brain) / Number(half)).toBeLessThan(16);
    expect(await allowed(2, { method: "aki" }, "BF16")).toBeUndefined();
  });

  it("sees weights that are off by less than rounding costs elsewhere, and a rule that does not hold before it", async () => {
    const from = await source("gpt2-tiny");
    const plan = await planOf("gpt2-tiny", { hidden: 128 }, { method: "fpi" });
    const record = {
      choices: { method: "fpi", maps: plan.growth.drawn },
      dtype: "BF16",
      promise: plan.promise,
    } as const;
    const inputs = randomInputs(from.model, 1, 2, 9);
    const right = grown(plan, from, "BF16");
    const wrong: Computes = {
      model: right.model,
      weights: {
        async readF32(name) {
          const values = (await right.weights.readF32(name)).slice();
          return name.endsWith("h.0.mlp.c_fc.weight") ? values.map((value) => 1.01 * value) : values;
        },
      },
    };
    const broken = await verifyGrowth(from, wrong, record, inputs, reference);
    expect(broken.kept).toBe(false);
    // A promise that the rule does not keep, at a ratio where rounding costs as much.
    const uneven = await planOf("gpt2-tiny", { hidden: 96 }, { method: "fpi" });
    const promise = { kind: "exact", reason: "falsely" } as const;
    const choices = { method: "fpi", maps: uneven.growth.drawn };
    const falsely = { choices, dtype: "BF16", promise } as const;
    const found = await verifyGrowth(from, grown(uneven, from, "BF16"), falsely, inputs, reference);
    expect(found.kept).toBe(false);
  });

  it.each(fixtures)("compares %s block by block, and finds one number that is wrong where it looks", async (name) => {
    const from = await source(name);
    const { hidden, layers, kvHeads, ffn } = from.model.dimensions;
    const choices = { method: "fpi", depth: "zero", map: "shuffled", seed: 3 } as const;
    const plan = await planOf(name, { hidden: 2 * hidden, ffn: 3 * ffn, layers: layers + 2 }, choices);
    const record = { choices: { ...choices, maps: plan.growth.drawn }, dtype: "F32", promise: plan.promise } as const;
    const inputs = randomInputs(from.model, 1, 2, 9);
    const right = grown(plan, from);
    const options = { sample: { seed: 0 } };
    const found = await verifyGrowth(from, right, record, inputs, reference, options);
    expect(found.kept).toBe(true);
    expect(found.sampled).toEqual({ layers, kvHeads, ffn, ids: new Set(inputs.ids).size });
    const weight = plan.parameters.find(
      ({ parameter }) =>
        parameter.layer === layers && parameter.part === "branch-output" && parameter.dims.length === 2,
    )?.parameter.name;
    const wrong: Computes = {
      model: right.model,
      weights: {
        async readF32(of, start = 0, count) {
          const values = await right.weights.readF32(of);
          if (of === weight) values[5] += 1;
          return values.subarray(start, count === undefined ? undefined : start + count);
        },
      },
    };
    expect((await verifyGrowth(from, wrong, record, inputs, reference, options)).kept).toBe(false);
  });

  it("compares units through the maps, undoes shares, and never takes NaN for equal", () => {
    const tensor = (shape: number[], ...data: number[]) => ({ shape, data: Float32Array.from(data) });
    const before = new Map([
      ["hidden.0", tensor([1, 4], 1, 2, 3, -4)],
      ["logits", tensor([1, 2], 5, 10)],
    ]);
    const after = new Map([
      ["hidden.0", tensor([1, 6], 1, 2, 3, -4, 1, 2.5)],
      ["logits", tensor([1, 2], 5, 9)],
    ]);
    expect(compareOutputs(before, after, maps(6), false)).toMatchObject([
      { name: "logits", largest: 1, scale: 10, share: 0.1, judged: true },
      { name: "hidden.0", largest: 0.5, scale: 4, judged: false },
    ]);
    const shared = new Map([["hidden.0", tensor([1, 6], 0.5, 1, 3, -4, 0.5, 1)]]);
    expect(compareOutputs(before, shared, maps(6), true)).toMatchObject([{ name: "hidden.0", largest: 0 }]);
    const broken = new Map([["logits", tensor([1, 2], Number.NaN, 10)]]);
    expect(compareOutputs(before, broken, maps(6), false)).toMatchObject([{ share: Number.POSITIVE_INFINITY }]);
  });

  it("draws ids of the vocabulary with padding at the ends, and never the padding id as a token", async () => {
    for (const name of fixtures) {
      const { model } = await source(name);
      const { batch, length, ids, mask } = randomInputs(model, 9, 5, 32);
      const padding = name === "roberta-tiny" ? 1 : 0;
      expect(ids.every((id) => id >= 0 && id < model.dimensions.vocab)).toBe(true);
      for (let s = 0; s < batch; s++) {
        const row = mask?.subarray(s * length, (s + 1) * length) ?? new Float32Array(0);
        const tokens = row.reduce((sum, value) => sum + value, 0);
        expect(row.subarray(0, tokens).every((value) => value === 1)).toBe(true);
        if (name !== "gpt2-tiny") expect(ids.subarray(s * length, s * length + tokens)).not.toContain(padding);
        expect(ids.subarray(s * length + tokens, (s + 1) * length).every((id) => id === padding)).toBe(true);
      }
      expect(new Set(ids).size).toBeGreaterThan(20);
    }
    const { model } = await source("roberta-tiny");
    expect([...paddedInputs(model, [[5, 6, 7], [8]]).ids]).toEqual([5, 6, 7, 8, 1, 1]);
  });
});

describe("bert2bert verify", () => {
  it("reports what was kept, on random ids and on text, and ends with 1 where a promise is broken", () => {
    const root = temporaryFolder();
    const from = join(root, "bert");
    const grown = join(root, "grown");
    cpSync(fixture("bert-tiny"), from, { recursive: true });
    const vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ..."abcdefghijklmnopqrstuvwxyz"];
    writeFileSync(
      join(from, "vocab.txt"),
      [...vocabulary, ...[..."abcdefghijklmnopqrstuvwxyz"].map((c) => `##${c}`)].join("\n"),
    );
    const text = join(root, "text.txt");
    writeFileSync(text, "a small fox\n\nlooks at the moon and at the whole of the night sky above it, and sleeps\n");
    const done = cli(["grow", from, grown, "--hidden", "128", "--layers", "4", "--method", "fpi", "--depth", "zero"]);
    expect(done.code, done.stderr).toBe(0);

    const plain = cli(["verify", from, grown]);
    expect(plain.code, plain.stderr).toBe(0);
    expect(plain.stdout).toMatch(/kept: at most 1e-5 .* promised \(exact/);
    const onText = cli(["verify", from, grown, "--text", text, "--json"]);
    expect(onText.code, onText.stderr).toBe(0);
    const result = JSON.parse(onText.stdout);
    expect(result.kept).toBe(true);
    expect(result.differences.map((difference: { name: string }) => difference.name)).toEqual([
      "logits",
      "nsp_logits",
      "pooler",
      "hidden.3",
    ]);

    // The last byte of the last weight: a number is no longer what it was.
    const weights = join(grown, "model.safetensors");
    const bytes = readFileSync(weights);
    bytes.fill(0x41, bytes.length - 4);
    writeFileSync(weights, bytes);
    const broken = cli(["verify", from, grown]);
    expect(broken.code, broken.stderr).toBe(1);
    expect(broken.stdout).toContain("broken: at most 1e-5");

    const foreign = cli(["verify", fixture("gpt2-tiny"), grown]);
    expect(foreign.code).toBe(2);
    expect(foreign.stderr).toContain("not the one it was grown from");
    const none = cli(["verify", from, from]);
    expect(none.code).toBe(2);
    expect(none.stderr).toContain("there is no growth.json");
  });
});
