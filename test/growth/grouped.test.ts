/**
 * Growth of what only a table can say: methods are written over axes, so that grouped heads, RMSNorms, gated FFNs in one
 * tensor and untied heads need none of their own. Held against a network computed and differentiated apart from them.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type GrowthChoices,
  type GrowthPlan,
  planGrowth,
  resizedModel,
  type TargetSizes,
} from "../../src/growth/plan.ts";
import { evaluate, type TensorSource } from "../../src/growth/recipe.ts";
import { indexAlong, newUnits, sharesAlong, uncopiedUnits } from "../../src/growth/width.ts";
import { reads } from "../../src/model/parameters.ts";
import { shapeOf } from "../../src/model/table.ts";
import { coefficientsOf, grownWeights, stored } from "../../src/train/ligo.ts";
import type { Json } from "../../src/util/json.ts";
import { drawn, gradients, grouped, logits, type Values } from "./grouped.ts";
import { reference } from "./support.ts";

const small: Json = {
  model_type: "grouped",
  vocab_size: 7,
  hidden_size: 6,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 2,
  intermediate_size: 3,
};
const ids = [3, 0, 5, 5, 1];
const kinds: readonly [string, Json][] = [
  ["tied", {}],
  ["untied", { tie_word_embeddings: false }],
  ["tied, query norms", { query_norms: true }],
  ["untied, query norms", { query_norms: true, tie_word_embeddings: false }],
];

function planOf(more: Json, sizes: TargetSizes, choices: GrowthChoices): GrowthPlan {
  const source = grouped.model({ ...small, ...more }, "test");
  return planGrowth(source, resizedModel(source, sizes), choices);
}

const readerOf = (values: Values): TensorSource => ({
  read: async (name, start, count) =>
    Float32Array.from((values.get(name) ?? new Float64Array()).subarray(start, start + count)),
});

async function grownValues(plan: GrowthPlan, from: Values): Promise<Values> {
  const made = plan.parameters.map(async ({ parameter, weight }) => {
    return [parameter.name, Float64Array.from(await evaluate(weight, readerOf(from)))] as const;
  });
  return new Map(await Promise.all(made));
}

/** By how much of their scale logits move. */
async function moves(plan: GrowthPlan): Promise<number> {
  const { source, target } = plan.growth;
  const from = drawn(source, 3);
  const [a, b] = [logits(source, from, ids), logits(target, await grownValues(plan, from), ids)];
  const scale = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0) / scale;
}

const inner: readonly TargetSizes[] = [
  { heads: 6, kvHeads: 3, ffn: 5 },
  { heads: 6, kvHeads: 2, ffn: 5 },
  { heads: 9, kvHeads: 3, ffn: 7 },
];
const lossless: readonly GrowthChoices[] = [
  { method: "fpi" },
  { method: "fpi", options: { shares: "unequal" } },
  { method: "fpi", options: { shares: "noisy", noise: 3 } },
  { method: "fresh" },
  { method: "hyperclone" },
  { method: "lemon", options: { inner: "fresh" } },
  { method: "isometric" },
  { method: "isometric", options: { shares: "unequal" } },
];

describe.each(kinds)("%s: the function is kept", (_, more) => {
  it.each(lossless)(
    "by %o with kv heads, queries to each and the FFN grown alone and together, and the stream twice",
    async (choices) => {
      for (const sizes of inner) {
        for (const [map, width] of [
          ["random", 6],
          ["shuffled", 12],
        ] as const) {
          const plan = planOf(
            more,
            { ...sizes, hidden: width, layers: 3 },
            { ...choices, map, depth: "zero", seed: 5 },
          );
          expect(plan.promise.kind).toBe("exact");
          expect(plan.growth.target.dimensions).toMatchObject({ ...sizes, hidden: width, headWidth: 2 });
          expect(await moves(plan), JSON.stringify(sizes)).toBeLessThan(2e-6);
        }
      }
    },
  );

  it.each([8, 10, 15, 16])("by lemon with the stream grown from 6 to %i: zeros, gains and eps", async (hidden) => {
    const plan = planOf(more, { hidden, heads: 6, kvHeads: 3 }, { method: "lemon", map: "shuffled", seed: 2 });
    expect(plan.promise).toMatchObject({
      kind: "exact",
      reason: expect.stringContaining("no RMSNorm sees the units of 0"),
    });
    const { eps } = plan.growth.target.settings;
    expect(eps).toBeCloseTo(more.query_norms === true ? 1e-2 : (1e-2 * 6 * Math.floor(hidden / 6)) / hidden, 12);
    expect(await moves(plan)).toBeLessThan(2e-6);
  });

  const uneven: readonly (readonly [number, GrowthChoices["map"], string])[] = [
    [7, "cyclic", "equal"],
    [10, "random", "equal"],
    [16, "random", "unequal"],
    [15, "shuffled", "noisy"],
  ];
  it.each(uneven)("by isometric with the stream grown from 6 to %i, %s map, %s shares", async (hidden, map, shares) => {
    const choices = { method: "isometric", options: { shares }, map, seed: 2 };
    const plan = planOf(more, { hidden, heads: 6, kvHeads: 3, ffn: 5 }, choices);
    expect(plan.promise.kind).toBe("exact");
    expect(plan.growth.target.settings.eps).toBe(1e-2);
    expect(await moves(plan)).toBeLessThan(2e-6);
  });

  it("by no method that does not promise it", async () => {
    for (const method of ["fpi", "aki", "direct", "quiet", "tile", "fresh", "hyperclone"]) {
      const plan = planOf(more, { hidden: 10, heads: 6, ffn: 5 }, { method });
      expect(plan.promise.kind, method).toBe("none");
      expect(await moves(plan), method).toBeGreaterThan(1e-3);
    }
    for (const [method, kind] of [
      ["quiet", "exact"],
      ["aki", "none"],
      ["direct", "none"],
      ["tile", "none"],
    ]) {
      const plan = planOf(more, { heads: 6, ffn: 5 }, { method });
      expect(plan.promise.kind).toBe(kind);
      if (kind === "exact") expect(await moves(plan), method).toBeLessThan(2e-6);
      else expect(await moves(plan), method).toBeGreaterThan(1e-3);
    }
  });

  it.each<[TargetSizes, GrowthChoices]>([
    [
      { hidden: 12, heads: 9, kvHeads: 3, ffn: 5 },
      { method: "fpi", map: "shuffled" },
    ],
    [
      { heads: 9, kvHeads: 3, ffn: 5 },
      { method: "fpi", map: "random", options: { shares: "unequal" } },
    ],
    [{ hidden: 10, heads: 6, kvHeads: 3, ffn: 5 }, { method: "lemon" }],
    [
      { hidden: 15, heads: 6, kvHeads: 2 },
      { method: "lemon", map: "shuffled" },
    ],
    [
      { hidden: 10, heads: 6, kvHeads: 3, ffn: 5 },
      { method: "isometric", map: "random" },
    ],
    [
      { hidden: 15, heads: 6, kvHeads: 2, ffn: 4 },
      { method: "isometric", map: "random", options: { shares: "unequal" } },
    ],
  ])("and moments are the gradients': %o %o", async (sizes, choices) => {
    const plan = planOf({ ...more, num_hidden_layers: 1 }, sizes, { ...choices, seed: 4 });
    const { source, target } = plan.growth;
    const from = drawn(source, 6);
    const before = readerOf(gradients(source, from, ids));
    const after = gradients(target, await grownValues(plan, from), ids);
    for (const { parameter, moments } of plan.parameters) {
      if (moments === undefined) throw new Error(`${parameter.name} starts afresh`);
      const made = await evaluate(moments.m, before);
      const own = after.get(parameter.name) ?? new Float64Array();
      const scale = own.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
      // What writes units of 0 has gradients that nothing of the source tells.
      const { dims, norm } = parameter;
      const writes = dims.map((dim) =>
        dim.role === "out" && norm === undefined ? uncopiedUnits(plan.growth, dim) : [],
      );
      const last = dims[dims.length - 1].size;
      const wrong = [...own.keys()].filter((i) => {
        const index = dims.length === 1 ? [i] : [Math.floor(i / last), i % last];
        if (index.some((at, d) => writes[d][at] === 1)) return made[i] !== 0;
        return !(Math.abs(own[i] - made[i]) / scale < 1e-4);
      });
      expect(wrong, parameter.name).toEqual([]);
      const squares = await evaluate(moments.v, {
        read: async (...range) => (await before.read(...range)).map((x) => x * x),
      });
      const square = (value: number, i: number) => Math.abs(squares[i] - value ** 2) <= 1e-6 * (value ** 2 + 1e-9);
      expect(made.every(square), parameter.name).toBe(true);
    }
  });
});

it("LiGO's maps make fpi's weights of it where nothing is learned yet", async () => {
  const sizes = { hidden: 10, heads: 9, kvHeads: 3, ffn: 5 };
  const plan = planOf({}, sizes, { method: "ligo", options: { jitter: 0 } });
  const { source, target } = plan.growth;
  const from = drawn(source, 3);
  const engine = await reference();
  for (const parameter of source.parameters) {
    const values = Float32Array.from(from.get(parameter.name) ?? []);
    await engine.write(stored(parameter.name), shapeOf(parameter), values);
  }
  for (const { name, shape, start } of coefficientsOf(plan)) await engine.write(name, shape, start);
  const made = await (await engine.compile(grownWeights(plan))).run({});
  await engine.close();
  const wanted = await grownValues(planOf({}, sizes, { method: "fpi" }), from);
  for (const { name } of target.parameters) {
    (wanted.get(name) ?? []).forEach((value, i) => {
      expect(Math.abs(value - made[name][i]), name).toBeLessThan(1e-6);
    });
  }
});

describe("a dimension that is a product of axes", () => {
  it("goes by each of their maps: indices mixed radix, shares multiplied, new where any unit is", () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 4 }));
    fc.assert(
      fc.property(
        sizes,
        sizes,
        fc.integer({ min: 1, max: 3 }),
        fc.constantFrom("cyclic", "random"),
        (kv, group, width, map) => {
          const config = { num_key_value_heads: kv[0], num_attention_heads: kv[0] * group[0], head_dim: width };
          const [kvTo, groupTo] = [kv, group].map(([from, more]) => from + more);
          const { growth } = planOf(config, { heads: kvTo * groupTo, kvHeads: kvTo }, { method: "fpi", map, seed: 9 });
          const [k, g] = [growth.maps.get("kv"), growth.maps.get("group")];
          if (k === undefined || g === undefined) throw new Error("no maps");
          const dim = reads(["fused", 2], ["kv", kvTo], ["group", groupTo], ["head", width]);
          const [index, isNew, shares] = [indexAlong, newUnits, sharesAlong].map((of) => of(growth, dim));
          const wanted: number[][] = [[], [], []];
          for (let f = 0; f < 2; f++) {
            for (let a = 0; a < kvTo; a++) {
              for (let b = 0; b < groupTo; b++) {
                for (let w = 0; w < width; w++) {
                  wanted[0].push(((f * kv[0] + k.of[a]) * group[0] + g.of[b]) * width + w);
                  wanted[1].push(Number(a >= kv[0] || b >= group[0]));
                  wanted[2].push(1 / k.counts[k.of[a]] / g.counts[g.of[b]]);
                }
              }
            }
          }
          expect([Array.from(index), Array.from(isNew)]).toEqual(wanted.slice(0, 2));
          expect(shares).toHaveLength(wanted[2].length);
          expect(wanted[2].every((share, i) => Math.abs(shares[i] - share) < 5e-13)).toBe(true);
        },
      ),
    );
  });

  it("is refused where an axis of it would shrink, or heads fit no group", () => {
    expect(() => planOf({}, { heads: 6, kvHeads: 6 }, { method: "fpi" })).toThrow(
      "query heads to each key-value head would shrink from 2 to 1",
    );
    const wayOut = "6 key-value heads need at least 12 heads: models only grow";
    expect(() => planOf({}, { heads: 6, kvHeads: 6 }, { method: "fpi" })).toThrow(expect.objectContaining({ wayOut }));
    expect(() => planOf({}, { heads: 7 }, { method: "fpi" })).toThrow("7 heads are neither groups of 2");
    expect(planOf({}, { heads: 6 }, { method: "fpi" }).growth.target.dimensions.kvHeads).toBe(3);
  });

  it("is refused of another table: a head of another kind, norms that the source has not", () => {
    const source = grouped.model(small, "test");
    const refused = (more: Json) => () =>
      planGrowth(source, grouped.model({ ...small, ...more }, "test"), { method: "fpi" });
    expect(refused({ tie_word_embeddings: false })).toThrow("language-model head is untied, the source's tied");
    expect(refused({ query_norms: true })).toThrow("q_norm.weight is there, the source's none");
  });
});

it("names of an untied head are a parameter's, of a tied one a copy's; a bare network has no prefix", () => {
  const [tied, untied] = kinds.map(([, more]) => grouped.model({ ...small, ...more }, "test"));
  const bare = grouped.model({ ...small, architectures: ["GroupedModel"] }, "test");
  const word = "model.embed_tokens.weight";
  expect(grouped.spelling(tied)("lm_head.weight")).toEqual({ kind: "copy", of: word });
  expect(grouped.spelling(untied)("lm_head.weight")).toEqual({ kind: "parameter", name: "lm_head.weight" });
  expect(grouped.spelling(bare)("lm_head.weight")).toEqual({ kind: "head" });
  expect(grouped.spelling(bare)(word)).toEqual({ kind: "parameter", name: "embed_tokens.weight" });
  expect(grouped.spelling(tied)("layers.1.q_proj.bias")).toEqual({
    kind: "parameter",
    name: "model.layers.1.q_proj.bias",
  });
  expect(grouped.spelling(tied)("model.layers.2.q_proj.bias")).toEqual({ kind: "unknown" });
  const kept = untied.parameters.map(({ name }) => name);
  const { architectures: _, ...unnamed } = untied.config;
  expect(grouped.outputsStored(unnamed, "test", kept)).toEqual({ lm: "untied", pooler: false, nsp: false });
  expect(grouped.outputsStored(unnamed, "test", kept.slice(0, -1)).lm).toBe("none");
  expect(grouped.outputsStored(small, "test", kept.slice(0, -1)).lm).toBe("tied");
});
