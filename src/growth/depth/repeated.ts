/**
 * The rules that repeat layers: each an order of the source's layers, bottom to top. Where a layer comes again it is new.
 * Nothing is promised of the function.
 */
import { UserError } from "../../util/errors.ts";
import type { DepthRule } from "../growth.ts";

function repeating(
  name: string,
  description: string,
  title: string,
  url: string,
  /** The source layer of each target layer. */
  order: (source: number, target: number) => readonly number[],
): DepthRule {
  return {
    name,
    description,
    paper: { title, url },
    promise: () => ({ kind: "none", reason: "layers are repeated" }),
    layers: (source, target) => order(source, target).map((from, i, all) => ({ from, fresh: all.indexOf(from) < i })),
  };
}

const counted = (length: number, from: (layer: number) => number) => Array.from({ length }, (_, layer) => from(layer));

/**
 * Stacking: the widened layers over and over, bottom to top; what is left is filled with the top layers once more.
 *
 * Gong et al., "Efficient Training of BERT by Progressively Stacking" (ICML 2019); the remainder from the top as in
 * Chen et al., "bert2BERT" (ACL 2022), section 3.
 */
export const stack = repeating(
  "stack",
  "all layers again and again, the remainder from the top",
  "Efficient Training of BERT by Progressively Stacking",
  "https://proceedings.mlr.press/v97/gong19a.html",
  (source, target) => {
    const whole = target - (target % source);
    return counted(target, (layer) => (layer < whole ? layer % source : source - (target - layer)));
  },
);

/**
 * Interleaving: each layer beside its copy; target layer l is source layer ⌊l · L_s / L_t⌋.
 *
 * A common variant of stacking; compared in Du et al., "Stacking Your Transformers" (NeurIPS 2024).
 */
export const interleave = repeating(
  "interleave",
  "each layer beside its copies",
  "Stacking Your Transformers",
  "https://arxiv.org/abs/2405.15319",
  (source, target) => counted(target, (layer) => Math.floor((layer * source) / target)),
);

/**
 * Spreading: target layer i is the source layer nearest to its relative height, min(round(i · L_s / L_t), L_s − 1), halves
 * to the even one.
 *
 * Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher" (2021), appendix G.3; used for
 * ModernBERT's large model (Warner et al. 2024).
 */
export const spread = repeating(
  "spread",
  "each layer from the one nearest to its relative height",
  "Scaling Language Models (Gopher)",
  "https://arxiv.org/abs/2112.11446",
  (source, target) => counted(target, (layer) => Math.min(source - 1, halvesToEven((layer * source) / target))),
);

function halvesToEven(value: number): number {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/**
 * Overlap: two copies of the network, one on the other, without the top layers of the lower and the bottom layers of the
 * upper one: the first n − m layers, then the last n − m, so that 2m layers in the middle are there twice.
 *
 * Depth up-scaling: Kim et al., "SOLAR 10.7B" (NAACL 2024), section 2.1 (n = 32, m = 8). An odd depth has one layer more
 * below. At most twice the depth; at that it is stacking.
 */
export const overlap = repeating(
  "overlap",
  "the bottom layers, then the top layers of a second copy: SOLAR's depth up-scaling",
  "SOLAR 10.7B",
  "https://arxiv.org/abs/2312.15166",
  (source, target) => {
    if (target > 2 * source) {
      const what = `two copies of ${source} layers are ${2 * source} at most, not ${target}`;
      throw new UserError(what, "--depth overlap", "take fewer layers, another rule (stack, middle), or grow twice");
    }
    return counted(target, (layer) => (layer < Math.ceil(target / 2) ? layer : source - (target - layer)));
  },
);

/**
 * Middle stacking: a copy of the block of layers in the middle is put above that block.
 *
 * MIDAS: Saunshi et al., "On the Inductive Bias of Stacking Towards Improving Reasoning" (NeurIPS 2024), section 3: of n
 * blocks, each as deep as what is added, block ⌈n / 2⌉ is there twice. Where the depth is no multiple of what is added,
 * the block stands as near to the centre as can be. More than twice the depth is reached in several such steps, each but
 * the last doubling it.
 */
export const middle = repeating(
  "middle",
  "the middle layers twice: MIDAS's stacking",
  "On the Inductive Bias of Stacking Towards Improving Reasoning",
  "https://arxiv.org/abs/2409.19044",
  (source, target) => {
    let layers = counted(source, (layer) => layer);
    while (layers.length < target) {
      const depth = Math.min(layers.length, target - layers.length);
      const blocks = layers.length / depth;
      const whole = Number.isInteger(blocks);
      const start = whole ? (Math.ceil(blocks / 2) - 1) * depth : Math.floor((layers.length - depth) / 2);
      layers = [...layers.slice(0, start + depth), ...layers.slice(start)];
    }
    return layers;
  },
);
