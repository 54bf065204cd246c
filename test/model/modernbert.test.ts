/** What ModernBERT has that others have not: kinds of blocks in two spellings, a norm less in the first, weights cut off. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeConfig } from "../../src/checkpoint/folder.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { describeGroups } from "../../src/growth/describe.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { evaluate } from "../../src/growth/recipe.ts";
import { initialise } from "../../src/model/init.ts";
import { openModel } from "../../src/model/load.ts";
import { modernbert } from "../../src/model/modernbert.ts";
import { readProbeInputs } from "../../src/probe/inputs.ts";
import { probe } from "../../src/probe/probe.ts";
import { coefficientsOf } from "../../src/train/ligo.ts";
import type { Json } from "../../src/util/json.ts";
import { disagreements, readTensors } from "../probe/fixtures.ts";
import { fixture, temporaryFolder } from "../support.ts";
import { checkpoint, folderOf, renamed } from "./support.ts";

const tiny = "modernbert-tiny";
const [full, sliding] = ["full_attention", "sliding_attention"];

/** The fixture's config as transformers 4 writes it. */
function older(): Json {
  const { layer_types: _, rope_parameters: __, ...rest } = checkpoint(tiny).config;
  return { ...rest, global_attn_every_n_layers: 3, global_rope_theta: 160000, local_rope_theta: 10000 };
}

function modelOf(layers: number, change: Json = {}) {
  return modernbert.model({ ...older(), num_hidden_layers: layers, ...change }, "config.json");
}

describe("the kinds of blocks", () => {
  it("are read as transformers 4 and 5 write them: the same model", async () => {
    const { tensors } = checkpoint(tiny);
    const inputs = fixture(tiny, "inputs.safetensors");
    const expected = await readTensors(fixture(tiny, "expected.safetensors"));
    const engine = await referenceEngine.open({ threads: 1, precision: "f32" });
    const wrongOf = async (config: Json) => {
      const open = await openModel(await folderOf(config, tensors));
      const found = await probe(open.model, open.weights, await readProbeInputs(inputs, open.model), engine, {
        gradients: true,
      });
      await open.close();
      return disagreements(found, expected).length;
    };
    expect(await wrongOf(older())).toBe(0);
    // Each of what the spelling says is heard.
    expect(await wrongOf({ ...older(), global_attn_every_n_layers: 2 })).toBeGreaterThan(0);
    expect(await wrongOf({ ...older(), local_rope_theta: 100 })).toBeGreaterThan(0);
    expect(await wrongOf({ ...older(), global_rope_theta: 100 })).toBeGreaterThan(0);
    await engine.close();
  });

  it.each([
    ["stack", 3, 6, undefined],
    ["stack", 4, 8, /transformers 4 would/],
    ["interleave", 3, 6, /transformers 4 would/],
    ["zero", 3, 4, undefined],
    ["zero", 4, 5, /transformers 4 would/],
  ])("travel with their blocks by %s, %i to %i", (depth, from, to, said) => {
    const source = modelOf(from);
    const plan = planGrowth(source, resizedModel(source, { layers: to }), { method: "fpi", depth });
    const { kinds, config } = plan.growth.target;
    expect(kinds).toEqual(plan.layers.map((layer) => source.kinds?.[layer.from]));
    expect(modernbert.model(config, "config.json").kinds).toEqual(kinds);
    if (said === undefined) expect(plan.notes).toEqual([]);
    else expect(plan.notes.join()).toMatch(said);
  });

  it("are written for both where both can say them", () => {
    const source = modelOf(4, { layer_types: [full, sliding, full, sliding] });
    const deeper = resizedModel(source, { layers: 5 });
    expect(deeper.config).toMatchObject({
      layer_types: [full, sliding, full, sliding, full],
      global_attn_every_n_layers: 2,
    });
    expect(modernbert.remark?.(deeper)).toBeUndefined();
    expect(modernbert.remark?.(source)).toMatch(/transformers 5 reads it/);
  });
});

describe("the norm that the first block has not", () => {
  it("begins anew where a copy of that block stands higher, and is said to", async () => {
    const source = modelOf(3, { norm_bias: true });
    const plan = planGrowth(source, resizedModel(source, { layers: 6, hidden: 64 }), { method: "aki" });
    const at = (name: string) => plan.parameters.find(({ parameter }) => parameter.name === name);
    expect(at("model.layers.0.attn_norm.weight")).toBeUndefined();
    const read = async () => {
      throw new Error("nothing is read for it");
    };
    for (const [name, value] of [
      ["weight", 1],
      ["bias", 0],
    ] as const) {
      const planned = at(`model.layers.3.attn_norm.${name}`);
      expect(planned).toMatchObject({ added: true, moments: undefined });
      if (planned !== undefined) expect(new Set(await evaluate(planned.weight, { read }))).toEqual(new Set([value]));
    }
    expect(at("model.layers.4.attn_norm.weight")?.weight.reads).toContain("model.layers.1.attn_norm.weight");
    expect(describeGroups(plan).find(({ from }) => from.length === 0)?.name).toBe("model.layers.3.attn_norm.weight");
  });

  it("is mixed by LiGO of the blocks that have it", () => {
    const source = modelOf(3);
    const plan = planGrowth(source, resizedModel(source, { layers: 6 }), { method: "ligo" });
    const shapes = new Map(coefficientsOf(plan).map(({ name, shape }) => [name, shape]));
    expect(shapes.get("depth/attn_norm.weight")).toEqual([6, 2]);
    expect(shapes.get("depth/mlp_norm.weight")).toEqual([6, 3]);
  });
});

describe("new weights", () => {
  const normal = modelOf(4).parameters.filter(({ init }) => init.kind === "normal");

  it("end at the cutoff, spread as a normal distribution cut off there, whichever slice is drawn", () => {
    for (const cutoff of [0.3, 2, 3]) {
      for (const parameter of modelOf(4, { initializer_cutoff_factor: cutoff }).parameters) {
        const { init } = parameter;
        if (init.kind !== "normal") continue;
        const values = initialise(parameter, 3);
        expect(values.every((value) => Math.abs(value) <= Math.fround(cutoff * init.std) * 1.0000001)).toBe(true);
        const density = Math.exp(-(cutoff ** 2) / 2) / Math.sqrt(2 * Math.PI);
        // The normal distribution's mass within the cutoff, by Simpson's rule.
        const mass = Array.from({ length: 201 }, (_, i) => {
          const weight = i === 0 || i === 200 ? 1 : i % 2 === 1 ? 4 : 2;
          return (weight * Math.exp(-((((i - 100) / 100) * cutoff) ** 2) / 2)) / Math.sqrt(2 * Math.PI);
        }).reduce((sum, value) => sum + (value * cutoff) / 300, 0);
        const spread = Math.sqrt(1 - (2 * cutoff * density) / mass);
        const found = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length) / init.std;
        expect(Math.abs(found / spread - 1)).toBeLessThan(4 / Math.sqrt(values.length));
        expect(initialise(parameter, 3, 7, 50)).toEqual(values.subarray(7, 57));
      }
    }
  });

  it("are narrower by the root of twice the layers where they write the stream and in the head", () => {
    const narrow = normal.filter(({ init }) => init.kind === "normal" && init.std < 0.02);
    expect(new Set(narrow.map(({ kind }) => kind))).toEqual(
      new Set(["attn.Wo.weight", "mlp.Wo.weight", "head.dense.weight"]),
    );
    for (const { init } of narrow) expect(init).toMatchObject({ std: 0.02 / Math.sqrt(8) });
  });

  it("are drawn for the padding id too, as transformers does", () => {
    expect(
      initialise(normal[0], 1)
        .subarray(0, 32)
        .some((value) => value !== 0),
    ).toBe(true);
  });
});

it("a classifier's transform is no language model's", async () => {
  const { architectures: _, ...config } = checkpoint(tiny).config;
  const tensors = renamed(tiny, (name) => (name === "decoder.bias" ? undefined : name));
  tensors.set("classifier.weight", { shape: [2, 32], data: new Float32Array(64) });
  const { model, weights, close } = await openModel(await folderOf(config, tensors));
  expect(model.config.architectures).toEqual(["ModernBertModel"]);
  expect([...weights.headsLeftOut].sort()).toEqual(["classifier.weight", "head.dense.weight", "head.norm.weight"]);
  await close();
});

it("a config keeps the point of numbers that transformers 5 wants one in", async () => {
  const folder = temporaryFolder();
  await writeConfig(folder, {
    initializer_cutoff_factor: 2,
    initializer_range: 1,
    norm_eps: 1e-5,
    hidden_size: 2,
    a: { norm_eps: 1 },
  });
  const text = readFileSync(join(folder, "config.json"), "utf8");
  expect(text).toContain('"initializer_cutoff_factor": 2.0,');
  expect(text).toContain('"initializer_range": 1.0,');
  expect(text).toContain('"norm_eps": 0.00001');
  expect(text).toContain('"hidden_size": 2,');
});
