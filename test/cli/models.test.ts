/** `init` and `probe` as a user starts them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeSafetensors } from "../../src/checkpoint/write.ts";
import { disagreements, readTensors } from "../probe/fixtures.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";

const root = temporaryFolder();

/** A probe's inputs as float32, which is as good as integers. */
async function inputsOf(tensors: Record<string, readonly [shape: readonly number[], values: readonly number[]]>) {
  const path = join(root, `${Object.keys(tensors).join("-")}.safetensors`);
  const sources = Object.entries(tensors).map(([name, [shape, values]]) => ({
    name,
    dtype: "F32" as const,
    shape,
    data: async () => Float32Array.from(values),
  }));
  await writeSafetensors(path, sources);
  return path;
}

describe("probe", () => {
  let count = 0;
  const run = (name: string, inputs: string, ...more: string[]) => {
    const out = join(root, `out-${count++}.safetensors`);
    return { out, ...cli(["probe", fixture(name), "--inputs", inputs, "--out", out, ...more]) };
  };

  test.each(["onnx", "reference"])("writes what transformers computes: %s", async (engine) => {
    const inputs = fixture("bert-tiny", "inputs.safetensors");
    const { code, stdout, stderr, out } = run("bert-tiny", inputs, "--gradients", "--engine", engine, "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const expected = await readTensors(fixture("bert-tiny", "expected.safetensors"));
    expect(disagreements(await readTensors(out), expected)).toEqual([]);
    const result = JSON.parse(stdout);
    expect(result.loss).toBeCloseTo(expected.get("loss")?.data[0] ?? 0, 4);
    expect(result.tensors).toContain("logits");
  });

  test("without labels there is no loss, and no gradient to ask for", async () => {
    const inputs = await inputsOf({
      input_ids: [
        [1, 3],
        [5, 6, 7],
      ],
    });
    const plain = run("gpt2-tiny", inputs, "--engine", "reference");
    expect(plain.code).toBe(0);
    expect([...(await readTensors(plain.out)).keys()].sort()).toEqual([
      "hidden.0",
      "hidden.1",
      "hidden.2",
      "hidden.3",
      "logits",
    ]);
    const refused = run("roberta-tiny", inputs, "--gradients", "--engine", "reference");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/^error: --gradients: there is no loss.*\nhint: give labels/);
    expect(existsSync(refused.out)).toBe(false);
  });

  const wrong: [string, Parameters<typeof inputsOf>[0], RegExp][] = [
    [
      "an unknown input",
      { input_ids: [[1, 1], [5]], labls: [[1, 1], [5]] },
      /unknown input `labls`\nhint: did you mean `labels`/,
    ],
    ["ids outside the vocabulary", { input_ids: [[1, 1], [130]] }, /`input_ids` holds 130\nhint: .* 0 to 129/],
    ["half an id", { input_ids: [[1, 1], [1.5]] }, /`input_ids` holds 1\.5/],
    ["a sequence too long", { input_ids: [[1, 33], new Array(33).fill(1)] }, /33 tokens long, the model takes 32/],
    [
      "labels of another shape",
      {
        input_ids: [
          [1, 2],
          [5, 6],
        ],
        labels: [[2], [5, 6]],
      },
      /`labels` is F32 \[2\]/,
    ],
    [
      "labels none of which count",
      {
        input_ids: [
          [1, 2],
          [5, 6],
        ],
        labels: [
          [1, 2],
          [5, -100],
        ],
      },
      /no label of `labels` counts/,
    ],
    ["token types for GPT-2", { input_ids: [[1, 1], [5]], token_type_ids: [[1, 1], [0]] }, /has no `token_type_ids`/],
    ["no ids", { labels: [[1, 1], [5]] }, /no `input_ids`/],
  ];
  test.each(wrong)("refuses %s", async (_, tensors, message) => {
    const { code, stderr, out } = run("gpt2-tiny", await inputsOf(tensors), "--engine", "reference");
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(existsSync(out)).toBe(false);
  });

  test("names the engines it has", () => {
    const { code, stderr } = run("gpt2-tiny", fixture("gpt2-tiny", "inputs.safetensors"), "--engine", "onyx");
    expect(code).toBe(2);
    expect(stderr).toMatch(/there is no engine `onyx`\nhint: did you mean `onnx`/);
  });
});

describe("init", () => {
  const config = join(root, "config.json");
  writeFileSync(config, JSON.stringify({ model_type: "gpt2", n_layer: 1, n_embd: 16, n_head: 2, vocab_size: 30 }));

  test("the same seed gives the same bytes, another one others", () => {
    const weights = (out: string, seed: string) => {
      expect(cli(["init", config, join(root, out), "--seed", seed]).code).toBe(0);
      return readFileSync(join(root, out, "model.safetensors"));
    };
    const first = weights("a", "7");
    expect(weights("b", "7").equals(first)).toBe(true);
    expect(weights("c", "8").equals(first)).toBe(false);
  });

  test("a config that is not supported leaves nothing", () => {
    const odd = join(root, "odd.json");
    writeFileSync(odd, JSON.stringify({ model_type: "gpt2", n_embd: 16, n_head: 3 }));
    const { code, stderr } = cli(["init", odd, join(root, "odd")]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/`n_embd` is 16, which 3 heads do not divide/);
    expect(existsSync(join(root, "odd"))).toBe(false);
  });
});
