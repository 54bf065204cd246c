import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { onnxEngine } from "../../src/engine/onnx/onnx.ts";
import { makeMap, type UnitMap } from "../../src/growth/maps.ts";
import type { Axis } from "../../src/model/table.ts";
import { compareOutputs, paddedInputs, randomInputs } from "../../src/probe/verify.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";
import { fixtures, measure, source } from "./support.ts";

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

  it("allows rounding alone where all is kept, in half the bytes only what shares cost", () => {
    const exact = { kind: "exact", reason: "" } as const;
    expect(allowedShare(exact, "F32", maps(12))).toBe(1e-5);
    expect(allowedShare(exact, "F16", maps(8))).toBe(1e-5);
    expect(allowedShare(exact, "F16", maps(12))).toBe(3e-3);
    expect(allowedShare(exact, "BF16", maps(12))).toBe(2e-2);
    expect(allowedShare({ kind: "near", within: 1e-3, reason: "" }, "F32", maps(8))).toBe(1e-3);
    expect(allowedShare({ kind: "none", reason: "" }, "F32", maps(8))).toBeUndefined();
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
