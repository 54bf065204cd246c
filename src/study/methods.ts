/**
 * The methods that a study knows by name: how the model begins (grown from the source, or random, perhaps with fewer
 * layers) and a plan for a target of so many layers. Baselines as Chen et al., "bert2BERT" (ACL 2022), section 4 and
 * appendix have them. They are data: a study's YAML can write out the same, change a part, or mix them.
 */
import { methods as growthMethods } from "../growth/methods.ts";
import type { Dimensions } from "../model/table.ts";
import { suggestion, UserError } from "../util/errors.ts";
import type { StudyFile } from "./schema.ts";

type MethodFile = NonNullable<StudyFile["methods"][string]>;

/** How the source grows, in the words of `bert2bert grow`. */
export type MethodGrowth = NonNullable<MethodFile["growth"]>;

/** A model drawn at random: the target, smaller where sizes say so; heads and FFN follow the width. */
export type MethodInit = NonNullable<MethodFile["init"]>;

/** What a method needs to know of the target. */
type Target = Pick<Dimensions, "layers" | "hidden" | "heads" | "headWidth" | "ffn">;

export interface MethodDefinition {
  readonly name: string;
  /** As in tables and curves. */
  readonly label: string;
  /** In a sentence. */
  readonly about: string;
  /** One of the two. */
  readonly growth?: MethodGrowth;
  init?(target: Target): MethodInit;
  /** As `plan` in a run's file. */
  plan(target: Target): unknown;
}

const full = () => "full";

/** Two-stage pre-training with the paper's best shares: sub-models by quarters, for 5 of 40 epochs. */
const twoStage = ({ layers }: Target) => ({ "two-stage": { block: Math.ceil(layers / 4), share: 5 / 40 } });

/** A quarter, half, three quarters and all of a depth; where it is no multiple of four, rounded up. */
function quarters(layers: number): readonly number[] {
  return [1, 2, 3, 4].map((part) => Math.ceil((part * layers) / 4));
}

export const methodDefinitions: readonly MethodDefinition[] = [
  {
    name: "scratch",
    label: "from scratch",
    about: "random weights, the whole network in every step",
    init: () => ({}),
    plan: full,
  },
  {
    name: "mslt",
    label: "MSLT",
    about: "four stages that each add a quarter of the layers and train only that, then the whole network",
    init: ({ layers }) => ({ layers: quarters(layers)[0] }),
    plan: mslt,
  },
  {
    name: "direct",
    label: "DirectCopy",
    about: "the source in the corner of every tensor, the rest random",
    growth: { method: "direct" },
    plan: full,
  },
  {
    name: "stackbert",
    label: "StackBERT",
    about: "a quarter of the depth, put on top of itself twice",
    init: ({ layers }) => ({ layers: quarters(layers)[0] }),
    plan: stackbert,
  },
  {
    name: "fpi",
    label: "FPI",
    about: "the source's units copied, the weights that read a unit divided among its copies",
    growth: { method: "fpi" },
    plan: full,
  },
  {
    name: "aki",
    label: "AKI",
    about: "as FPI, but new units come from the layer above",
    growth: { method: "aki" },
    plan: full,
  },
  {
    name: "aki-two-stage",
    label: "AKI, two stages",
    about: "grown by AKI; first parts of the network, then all of it: bert2BERT",
    growth: { method: "aki" },
    plan: twoStage,
  },
  {
    name: "two-stage",
    label: "scratch, two stages",
    about: "random weights; first parts of the network, then all of it",
    init: () => ({}),
    plan: twoStage,
  },
  {
    name: "zero-one-layer",
    label: "one layer, then all",
    about: "a single layer for 80 % of the steps, then all of them, the new ones random",
    init: () => ({ layers: 1 }),
    plan: ({ layers }) => expanded(0.8, { layers, depth: "random" }),
  },
  {
    name: "gradual-stack",
    label: "gradual stacking",
    about: "a quarter of the layers; three times a copy of the top quarter is put on top",
    init: ({ layers }) => ({ layers: quarters(layers)[0] }),
    plan: ({ layers }) => gradually(layers, "stack"),
  },
  {
    name: "midas",
    label: "MIDAS",
    about: "a quarter of the layers; three times the middle quarter is put there once more",
    init: ({ layers }) => ({ layers: quarters(layers)[0] }),
    plan: ({ layers }) => gradually(layers, "middle"),
  },
  {
    name: "in-run",
    label: "deeper in mid-run",
    about: "a quarter of the layers for half of the steps, then all of them, the new ones small",
    init: ({ layers }) => ({ layers: quarters(layers)[0] }),
    plan: ({ layers }) => expanded(0.5, { layers, depth: "random:0.1" }, { warmup: 0.02 }),
  },
  {
    name: "in-run-width",
    label: "wider in mid-run",
    about: "half the heads for half of the steps, then all of them, the new units random and their moments at 0",
    init: ({ heads, headWidth }) => ({ hidden: Math.ceil(heads / 2) * headWidth }),
    plan: ({ hidden, heads, ffn }) =>
      expanded(0.5, { hidden, heads, ffn, method: "direct", moments: "old-only" }, { warmup: 0.02 }),
  },
  {
    name: "sparkling",
    label: "SPARKLING",
    about: "as wider in mid-run, but activations keep their size",
    init: ({ heads, headWidth }) => ({ hidden: Math.ceil(heads / 2) * headWidth }),
    plan: ({ hidden, heads, ffn }) =>
      expanded(0.5, { hidden, heads, ffn, method: "sparkling", moments: "old-only" }, { warmup: 0.02 }),
  },
];

/**
 * One expansion, after a share of the steps. Late and once, with random layers: Bu, "Scaling depth capacity via
 * zero/one-layer model expansion" (ICML 2026). With a warm-up of its own, in width: Yu et al., "SPARKLING" (2026).
 */
function expanded(share: number, grow: object, schedule?: object): unknown {
  return [
    { name: "small", share },
    { name: "whole", grow, ...(schedule === undefined ? {} : { schedule }) },
  ];
}

/**
 * Gradual stacking (Reddi et al., "Efficient Training of Language Models using Few-Shot Learning", ICML 2023) and MIDAS
 * (Saunshi et al., NeurIPS 2024): a quarter of the layers more in each stage, whose length grows with its depth (their
 * schedule PROP-1, section 2). Moments go with what is copied.
 */
function gradually(layers: number, depth: string): unknown {
  const names = ["quarter", "half", "three quarters"];
  const stages = [...names.map((name, i) => ({ name, share: (i + 1) / 10 })), { name: "whole" }];
  return deepened(quarters(layers), stages, (to) => ({ grow: { layers: to, depth } }));
}

/** What a name means by itself: one of the methods above, or a growth method with the whole network trained after it. */
export function namedMethod(name: string): MethodDefinition | undefined {
  const found = methodDefinitions.find((known) => known.name === name);
  if (found !== undefined) return found;
  const growth = growthMethods.find((known) => known.name === name);
  if (growth === undefined) return undefined;
  return { name, label: name, about: growth.description, growth: { method: name }, plan: full };
}

/** @param where for messages @throws UserError if there is no such method */
export function methodDefinition(name: string, where: string): MethodDefinition {
  const found = namedMethod(name);
  if (found !== undefined) return found;
  const names = [...new Set([...methodDefinitions, ...growthMethods].map((known) => known.name))];
  const wayOut = `${suggestion(name, names)}; a method of your own says \`growth\` or \`init\``;
  throw new UserError(`there is no method \`${name}\``, where, wayOut);
}

/**
 * StackBERT (Gong et al., ICML 2019), with the shares of bert2BERT's appendix: a quarter, half and all of the depth for
 * 12.5, 17.5 and 70 % of the steps; at each change the stack doubles, the optimizer starts anew and the rate warms up.
 */
function stackbert({ layers }: Target): unknown {
  const [quarter, half] = quarters(layers);
  const stages = [{ name: "quarter", share: 0.125 }, { name: "half", share: 0.175 }, { name: "whole" }];
  return deepened([quarter, half, layers], stages, (to) => ({
    grow: { layers: to, depth: "stack", moments: "drop" },
    ...{ optimizer: "reset", schedule: { warmup: 0.05, decay: "run" } },
  }));
}

/**
 * MSLT (Yang et al. 2020): four stages of 8/40 of the scratch run's steps, each with a copy of the top quarter more and
 * that alone trained, then 20/40 on the whole. The shares add up to more than 1 since its steps are cheap: here they
 * are shares of its own steps, and the budget of FLOPs says how many those are.
 */
function mslt({ layers }: Target): unknown {
  const depths = quarters(layers);
  const stages = depths.map((to, i) => ({
    ...{ name: ["one", "two", "three", "four"][i], share: 8 / (4 * 8 + 20) },
    ...(i > 0 && to === depths[i - 1] ? { models: [{ layers: to, train: 1 }] } : {}),
  }));
  const grown = (to: number, added: number) => ({
    grow: { layers: to, depth: "stack", moments: "grow" },
    models: [{ layers: to, train: added }],
  });
  return deepened([...depths, layers], [...stages, { name: "whole" }], grown);
}

/** Stages of these depths. @param grown what one has in which the model grows, by so many layers */
function deepened(
  depths: readonly number[],
  stages: readonly object[],
  grown: (to: number, added: number) => object,
): unknown {
  return stages.map((stage, i) => {
    const added = i === 0 ? 0 : depths[i] - depths[i - 1];
    return { ...stage, ...(added > 0 ? grown(depths[i], added) : {}) };
  });
}
