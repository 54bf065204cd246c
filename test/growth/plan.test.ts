import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { depthRuleOf, depthRules } from "../../src/growth/depth.ts";
import { methods } from "../../src/growth/methods.ts";
import { type GrowthChoices, planGrowth, resizedModel, type TargetSizes, targetModel } from "../../src/growth/plan.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { type Json, parseJsonObject } from "../../src/util/json.ts";
import { fixture } from "../support.ts";

function model(name: string) {
  const path = fixture(name, "config.json");
  const config = parseJsonObject(readFileSync(path, "utf8"), path);
  return architectureOf(config, path).model(config, path);
}

const names = ["bert-tiny", "roberta-tiny", "gpt2-tiny"];

function plan(name: string, sizes: TargetSizes, choices: GrowthChoices) {
  const source = model(name);
  return planGrowth(source, resizedModel(source, sizes), choices);
}

describe("depth rules", () => {
  it("stack whole and fill from the top; interleave; zero never right above the embeddings", () => {
    const from = (rule: string, source: number, target: number) =>
      depthRuleOf(rule)
        .layers(source, target)
        .map((origin) => origin.from);
    expect(from("stack", 3, 8)).toEqual([0, 1, 2, 0, 1, 2, 1, 2]);
    expect(from("interleave", 3, 8)).toEqual([0, 0, 0, 1, 1, 1, 2, 2]);
    expect(from("zero", 4, 6)).toEqual([0, 1, 1, 2, 3, 3]);
    expect(from("zero", 2, 5)).toEqual([0, 0, 1, 1, 1]);
    expect(from("random", 2, 5)).toEqual([0, 0, 1, 1, 1]);
  });

  it("overlap as SOLAR's 32 layers become 48, and never beyond two copies", () => {
    const layers = depthRuleOf("overlap").layers(32, 48);
    const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
    expect(layers.map(({ from }) => from)).toEqual([...numbers(0, 24), ...numbers(8, 32)]);
    expect(depthRuleOf("overlap").layers(4, 7)).toEqual(
      [0, 1, 2, 3, 1, 2, 3].map((from, i) => ({ from, fresh: i > 3 })),
    );
    expect(() => depthRuleOf("overlap").layers(3, 7)).toThrow("two copies of 3 layers are 6 at most");
  });

  it("middle: the block in the middle once more, block after block", () => {
    const from = (source: number, target: number) =>
      depthRuleOf("middle")
        .layers(source, target)
        .map((origin) => origin.from);
    // Blocks of four: two of two, three of two, three of four.
    expect(from(4, 6)).toEqual([0, 1, 0, 1, 2, 3]);
    expect(from(6, 8)).toEqual([0, 1, 2, 3, 2, 3, 4, 5]);
    expect(from(12, 16)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7, 8, 9, 10, 11]);
    // The whole of it, the nearest to the centre, and more than twice.
    expect(from(3, 6)).toEqual([0, 1, 2, 0, 1, 2]);
    expect(from(5, 7)).toEqual([0, 1, 2, 1, 2, 3, 4]);
    expect(from(2, 7)).toEqual([0, 1, 0, 0, 1, 0, 1]);
  });

  it("each layer's kind travels with it, and is said in the config", () => {
    const layer_types = [0, 1, 1, 0, 1].map((slides) => (slides === 1 ? "sliding_attention" : "full_attention"));
    const config = {
      ...{ model_type: "qwen2", vocab_size: 11, hidden_size: 8, intermediate_size: 6, num_attention_heads: 2 },
      ...{ num_hidden_layers: 5, num_key_value_heads: 1, use_sliding_window: true, sliding_window: 3, layer_types },
    };
    const source = architectureOf(config, "test").model(config, "test");
    for (const { name } of depthRules) {
      const { layers, growth } = planGrowth(source, resizedModel(source, { layers: 8 }), {
        method: "fpi",
        depth: name,
      });
      expect(growth.target.config.layer_types, name).toEqual(layers.map(({ from }) => layer_types[from]));
      expect(growth.target.kinds, name).toEqual(growth.target.config.layer_types);
    }
  });

  it.each<[Json, Json, string]>([
    [{ model_type: "llama" }, { rope_theta: 500 }, "lowest rotary frequency is 0.0"],
    [{ model_type: "llama" }, { rope_parameters: { rope_type: "linear", factor: 2 } }, "lowest rotary frequency is"],
    [
      { model_type: "llama", head_dim: 8, rope_parameters: { rope_type: "yarn", factor: 4, beta_fast: 64 } },
      { rope_parameters: { rope_type: "yarn", factor: 4, beta_fast: 2 } },
      "list of rotary frequencies is",
    ],
    [
      { model_type: "mistral", sliding_window: 4 },
      { sliding_window: 5 },
      "attention window of sliding_attention is 4, the source's 3",
    ],
    [{ model_type: "mistral", sliding_window: null }, { sliding_window: 5 }, "blocks' kinds is sliding_attention"],
    [
      { model_type: "mistral", sliding_window: 5 },
      { sliding_window: null, num_hidden_layers: 3 },
      "blocks' kinds is none",
    ],
    [
      { model_type: "qwen2", use_sliding_window: true, sliding_window: 4 },
      { max_window_layers: 1 },
      "blocks' kinds is full_attention, sliding_attention, the source's full_attention, full_attention",
    ],
    [{ model_type: "modernbert" }, { global_rope_theta: 999 }, "lowest rotary frequency of full_attention is"],
    [
      { model_type: "modernbert" },
      { local_attention: 12, num_hidden_layers: 4 },
      "attention window of sliding_attention is 6",
    ],
  ])("a target that attends otherwise is refused by name: %j with %j", (own, change, message) => {
    const sizes = {
      vocab_size: 11,
      hidden_size: 16,
      intermediate_size: 6,
      num_attention_heads: 4,
      num_hidden_layers: 2,
    };
    const config = { num_key_value_heads: 2, pad_token_id: 1, ...sizes, ...own };
    const wider = { ...config, hidden_size: 32, num_attention_heads: 8, num_key_value_heads: 4 };
    const source = architectureOf(config, "test").model(config, "test");
    const plan = (to: Json) => () => planGrowth(source, targetModel(source, to, "to"), { method: "fpi" });
    expect(plan(wider)).not.toThrow();
    expect(plan({ ...wider, ...change })).toThrow(message);
  });

  it("continue every source layer exactly once, in order", () => {
    const depths = fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 20 }));
    fc.assert(
      fc.property(fc.constantFrom(...depthRules), depths, (rule, [source, any]) => {
        const more = rule.name === "overlap" ? Math.min(source, any) : any;
        const layers = rule.layers(source, source + more);
        expect(layers).toHaveLength(source + more);
        expect(layers.filter((layer) => !layer.fresh).map((layer) => layer.from)).toEqual(
          Array.from({ length: source }, (_, i) => i),
        );
        expect(layers[0].fresh).toBe(false);
      }),
    );
  });
});

describe("plans", () => {
  it.each(names)("make every parameter of a larger %s, reading parameters that the source has", (name) => {
    const source = model(name);
    const held = new Set(source.parameters.map((parameter) => parameter.name));
    for (const method of methods) {
      for (const { name: depth } of depthRules) {
        // What isometric copies no LayerNorm may see.
        const heads = source.dimensions.heads + (method.name === "isometric" ? 0 : 1);
        const layers = depth === "overlap" ? source.dimensions.layers + 1 : 5;
        const sizes = { heads, ffn: source.dimensions.ffn + 3, layers };
        const target = resizedModel(source, sizes);
        const planned = planGrowth(source, target, { method: method.name, depth, map: "random" });
        expect(planned.parameters.map(({ parameter }) => parameter.name)).toEqual(target.parameters.map((p) => p.name));
        for (const { weight, moments } of planned.parameters) {
          for (const read of [...weight.reads, ...(moments?.m.reads ?? [])]) expect(held.has(read), read).toBe(true);
        }
      }
    }
  });

  it("promise what METHOD's rules keep", () => {
    const kind = (sizes: TargetSizes, choices: GrowthChoices, name = "bert-tiny") =>
      plan(name, sizes, choices).promise.kind;
    expect(kind({ hidden: 128 }, { method: "fpi" })).toBe("exact");
    expect(kind({ hidden: 192 }, { method: "fpi", map: "shuffled" })).toBe("exact");
    expect(kind({ hidden: 128 }, { method: "fpi", map: "random" })).toBe("none");
    expect(kind({ hidden: 96 * 2 - 16 }, { method: "fpi" })).toBe("none");
    expect(kind({ ffn: 300 }, { method: "fpi", map: "random" })).toBe("exact");
    expect(kind({ hidden: 128 }, { method: "aki" })).toBe("none");
    expect(kind({ hidden: 128 }, { method: "direct" })).toBe("none");
    expect(kind({ hidden: 128, layers: 4 }, { method: "fpi" })).toBe("none");
    expect(kind({ layers: 4 }, { method: "fpi", depth: "zero" })).toBe("exact");
    expect(kind({ layers: 4 }, { method: "fpi", depth: "zero" }, "gpt2-tiny")).toBe("exact");
    expect(plan("roberta-tiny", { layers: 4 }, { method: "fpi", depth: "zero" }).promise).toMatchObject({
      kind: "near",
      within: 1e-3,
    });
  });

  it("take sizes from each other", () => {
    const { dimensions } = resizedModel(model("bert-tiny"), { hidden: 96 });
    expect(dimensions).toMatchObject({ hidden: 96, heads: 6, ffn: 384, layers: 3 });
    expect(resizedModel(model("gpt2-tiny"), { heads: 8 }).dimensions).toMatchObject({ hidden: 128, ffn: 512 });
    expect(resizedModel(model("roberta-tiny"), { hidden: 64 }).dimensions.ffn).toBe(213);
  });

  it.each<[string, string, TargetSizes, GrowthChoices, string]>([
    ["no size", "bert-tiny", {}, { method: "fpi" }, "no target size"],
    ["narrower", "bert-tiny", { hidden: 32 }, { method: "fpi" }, "would shrink from 64 to 32"],
    [
      "smaller groups",
      "llama-tiny",
      { kvHeads: 4 },
      { method: "fpi" },
      "query heads to each key-value head would shrink from 2 to 1",
    ],
    [
      "heads that a Llama can't have",
      "llama-tiny",
      { heads: 6 },
      { method: "fpi" },
      "6 heads do not divide a hidden size of 32, as transformers asks of a llama\nhint: take 8, or another",
    ],
    [
      "heads of no group",
      "llama-tiny",
      { hidden: 48, heads: 16, kvHeads: 5 },
      { method: "fpi" },
      "which does not divide",
    ],
    ["shallower", "bert-tiny", { layers: 2 }, { method: "fpi" }, "layers would shrink"],
    ["a smaller FFN", "bert-tiny", { ffn: 255 }, { method: "fpi" }, "ffn would shrink"],
    ["cut heads", "bert-tiny", { hidden: 100 }, { method: "fpi" }, "take 96 or 112"],
    [
      "heads of another width",
      "bert-tiny",
      { hidden: 128, heads: 4 },
      { method: "fpi" },
      "32 wide, the source's are 16",
    ],
    ["method", "bert-tiny", { hidden: 128 }, { method: "fpl" }, "did you mean `fpi`"],
    ["map", "bert-tiny", { hidden: 128 }, { method: "fpi", map: "shufled" }, "did you mean `shuffled`"],
    ["depth", "bert-tiny", { layers: 4 }, { method: "fpi", depth: "zeros" }, "did you mean `zero`"],
    ["moments", "bert-tiny", { layers: 4 }, { method: "fpi", moments: "dropp" }, "did you mean `drop`"],
    [
      "an option the method lacks",
      "bert-tiny",
      { ffn: 300 },
      { method: "fpi", options: { scope: "all" } },
      "no such option",
    ],
    [
      "an option's value",
      "bert-tiny",
      { ffn: 300 },
      { method: "aki", options: { scope: "unit" } },
      "did you mean `units`",
    ],
    [
      "options that exclude each other",
      "bert-tiny",
      { ffn: 300 },
      { method: "aki", options: { readout: "upper" } },
      "add --scope units",
    ],
    [
      "a number that shrinks nothing",
      "bert-tiny",
      { ffn: 300 },
      { method: "direct", options: { shrink: 1.2 } },
      "1.2 would not shrink weights",
    ],
    ["LayerNorms under isometric", "bert-tiny", { hidden: 128 }, { method: "isometric" }, "take lemon or fpi"],
    ["one LayerNorm before a branch", "gpt2-tiny", { hidden: 96 }, { method: "isometric" }, "ln_1.weight of a gpt2"],
    ["three copies of overlap", "gpt2-tiny", { layers: 9 }, { method: "fpi", depth: "overlap" }, "or grow twice"],
  ])("refuse %s", (_what, name, sizes, choices, message) => {
    expect(() => plan(name, sizes, choices)).toThrow(message);
  });

  it("refuse a target config of another network", () => {
    const source = model("bert-tiny");
    const config = resizedModel(source, { hidden: 128 }).config;
    const refused = (change: object) => () =>
      planGrowth(source, targetModel(source, { ...config, ...change }, "target.json"), { method: "fpi" });
    expect(refused({})).not.toThrow();
    expect(refused({ hidden_dropout_prob: 0.3 })).not.toThrow();
    expect(refused({ layer_norm_eps: 1e-5 })).toThrow("LayerNorm eps is 0.00001");
    expect(refused({ hidden_act: "relu" })).toThrow("activation");
    expect(refused({ vocab_size: 121 })).toThrow("vocabulary is 121");
    expect(refused({ max_position_embeddings: 64 })).toThrow("positions is 64");
    expect(refused({ type_vocab_size: 3 })).toThrow("token types");
    expect(refused({ pad_token_id: 3 })).toThrow("padding id is 3");
    expect(refused({ model_type: "roberta" })).toThrow("the source is bert");
  });
});
