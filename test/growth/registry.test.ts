/**
 * Every method on every architecture there is: what it promises it keeps, and where it has a rule for the moments they are
 * the grown model's own gradients'. Written over the registry: an architecture that is added is held to the same.
 */
import { describe, expect, it } from "vitest";
import type { OptionValues } from "../../src/growth/growth.ts";
import { methods } from "../../src/growth/methods.ts";
import {
  type GrowthChoices,
  type GrowthPlan,
  planGrowth,
  resizedModel,
  type TargetSizes,
} from "../../src/growth/plan.ts";
import { type Model, resizeModel } from "../../src/model/architecture.ts";
import { architectures } from "../../src/model/architectures.ts";
import { randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { UserError } from "../../src/util/errors.ts";
import { grown, random, reference, worst } from "./support.ts";

/** A small model of each, three groups of two heads where it can have groups; tied and, where there is one, with a head of its own. */
const small = architectures.flatMap((architecture) =>
  [true, false].flatMap((tied): [string, Model][] => {
    const positions = { max_position_embeddings: 16, n_positions: 16 };
    const config = {
      ...{ model_type: architecture.type, vocab_size: 13, pad_token_id: 1, tie_word_embeddings: tied },
      ...positions,
      // Heads are two units wide here: both turn.
      partial_rotary_factor: 1,
    };
    const made = unless(() => architecture.model(config, architecture.type));
    if (made === undefined) return [];
    const rms = made.parameters.every(({ norm }) => norm === undefined || norm.kind === "rms");
    const sizes = { layers: 2, hidden: 12, heads: 6, kvHeads: 3, headWidth: 2, ffn: 5 };
    // So large that it shows where it is wrong.
    const model = resizeModel(made, rms ? { ...sizes, eps: 1e-2 } : sizes, architecture.type);
    return [[`${architecture.type}, ${model.outputs.lm}`, model]];
  }),
);

/** What is refused is none. */
function unless<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

const sizes: readonly (readonly [string, TargetSizes, Partial<GrowthChoices>])[] = [
  ["twice as wide", { hidden: 24 }, {}],
  ["three times as wide, shuffled, deeper by zero", { hidden: 36, layers: 4 }, { map: "shuffled", depth: "zero" }],
  ["5/3 as wide", { hidden: 20, ffn: 9 }, {}],
  ["8/3 as wide, uneven", { hidden: 32 }, { map: "random" }],
  ["the FFN alone", { ffn: 12 }, { map: "random" }],
  ["kv heads alone", { heads: 12, kvHeads: 6 }, {}],
  ["groups alone", { heads: 12, kvHeads: 3 }, { map: "shuffled" }],
  ["kv heads and groups", { hidden: 24, heads: 24, kvHeads: 6, ffn: 7 }, {}],
  ["groups, the stream with them", { hidden: 24, heads: 12, kvHeads: 3 }, {}],
  ["deeper by zero", { layers: 5 }, { depth: "zero" }],
  ["deeper by stacking", { layers: 3 }, {}],
];

/** Those that options beside the usual ones are tried at. */
const bare = ["twice as wide", "5/3 as wide", "kv heads and groups"];

/** Each method with its defaults, and with every other word of every option. */
const variants: readonly (readonly [string, OptionValues])[] = methods.flatMap(({ name, options }) => [
  [name, {}] as const,
  ...options.flatMap((option) =>
    "words" in option ? option.words.slice(1).map((word) => [name, { [option.name]: word }] as const) : [],
  ),
]);

function plans(model: Model): readonly (readonly [string, GrowthPlan])[] {
  return variants.flatMap(([method, options]) =>
    (Object.keys(options).length === 0 ? sizes : sizes.filter(([what]) => bare.includes(what))).flatMap(
      ([what, size, more]): [string, GrowthPlan][] => {
        const plan = unless(() => planGrowth(model, resizedModel(model, size), { method, options, seed: 3, ...more }));
        return plan === undefined ? [] : [[`${method} ${JSON.stringify(options)}, ${what}`, plan]];
      },
    ),
  );
}

describe.each(small)("%s", (_, model) => {
  const made = plans(model);
  const promising = made.filter(([, { promise }]) => promise.kind !== "none");
  const rms = model.parameters.every(({ norm }) => norm === undefined || norm.kind === "rms");

  it("computes what each method promises", async () => {
    const from = random(model, 5);
    const inputs = randomInputs(model, 2, 2, 9);
    for (const [what, plan] of promising) {
      const choices = { ...plan.growth, method: plan.method, maps: plan.growth.drawn };
      const record = { choices, dtype: "F32", promise: plan.promise } as const;
      const { kept, differences } = await verifyGrowth(from, grown(plan, from), record, inputs, reference);
      const found = differences.map(({ name, share }) => `${name} ${share.toExponential(1)}`).join(", ");
      expect(kept, `${what}: ${found}`).toBe(true);
      // The states between are compared as well, where each layer has its own counterpart.
      const within = plan.promise.kind === "near" ? plan.promise.within : 1e-5;
      const copies = !["aki", "direct", "quiet", "tile"].includes(plan.method.name);
      if (copies && plan.layers.length === model.dimensions.layers) {
        for (const { name, share } of differences) expect(share, `${what}: ${name}`).toBeLessThanOrEqual(within);
      }
    }
  });

  it("is promised what METHOD's rules keep, and no more", () => {
    const kinds = new Map(made.map(([what, { promise }]) => [what, promise.kind]));
    for (const method of ["fpi", "fresh", "hyperclone", "lemon", ...(rms ? ["isometric"] : [])]) {
      expect(kinds.get(`${method} {}, twice as wide`), method).toBe("exact");
      expect(kinds.get(`${method} {}, the FFN alone`), method).toBe("exact");
      expect(kinds.get(`${method} {}, deeper by zero`), method).not.toBe("none");
      expect(kinds.get(`${method} {}, deeper by stacking`), method).toBe("none");
    }
    for (const method of ["fpi", "fresh", "hyperclone", "aki", "direct", "tile", "ligo"]) {
      expect(kinds.get(`${method} {}, 5/3 as wide`), method).toBe("none");
    }
    expect(kinds.get("isometric {}, 5/3 as wide")).toBe(rms ? "exact" : undefined);
    expect(kinds.get("isometric {}, 8/3 as wide, uneven")).toBe(rms ? "exact" : undefined);
    if (rms) expect(kinds.get("lemon {}, 5/3 as wide")).toBe("exact");
  });

  it("has moments by the mirror of the weights' rule, or none", async () => {
    const ruled = new Set<string>();
    for (const [what, plan] of promising) {
      const { method, growth } = plan;
      // Noise moves gradients apart about those of the rule; a growth in depth starts what is new afresh.
      if (method.name === "hyperclone" || growth.options.shares === "noisy" || plan.promise.kind !== "exact") continue;
      if (plan.parameters.every(({ moments }) => moments === undefined)) continue;
      const { name, off } = await worst(plan, 4, false);
      expect(off, `${what}: ${name}`).toBeLessThan(2e-5);
      ruled.add(what);
    }
    for (const method of ["fpi", "fresh", "lemon", ...(rms ? ["isometric"] : [])]) {
      expect(ruled, method).toContain(`${method} {}, twice as wide`);
      expect(ruled, method).toContain(`${method} {}, the FFN alone`);
    }
    expect(ruled.has("isometric {}, 8/3 as wide, uneven")).toBe(rms);
    expect(ruled.has('isometric {"shares":"unequal"}, 5/3 as wide')).toBe(rms);
    expect(ruled.has('fpi {"shares":"unequal"}, twice as wide')).toBe(false);
  });
});
