/**
 * Middle stacking: a copy of the block of layers in the middle is put above that block.
 *
 * MIDAS: Saunshi et al., "On the Inductive Bias of Stacking Towards Improving Reasoning" (NeurIPS 2024), section 3: of n
 * blocks, each as deep as what is added, block ⌈n / 2⌉ is there twice. Where the depth is no multiple of what is added,
 * the block stands as near to the centre as can be. More than twice the depth is reached in several such steps, each but
 * the last doubling it.
 */
import type { DepthRule, LayerOrigin } from "../growth.ts";

export const middle: DepthRule = {
  name: "middle",
  description: "the middle layers twice: MIDAS's stacking",
  paper: {
    title: "On the Inductive Bias of Stacking Towards Improving Reasoning",
    url: "https://arxiv.org/abs/2409.19044",
  },
  promise: () => ({ kind: "none", reason: "layers are repeated" }),
  layers(source, target) {
    let layers = Array.from({ length: source }, (_, from): LayerOrigin => ({ from, fresh: false }));
    while (layers.length < target) {
      const depth = Math.min(layers.length, target - layers.length);
      const end = startOf(layers.length, depth) + depth;
      const copy = layers.slice(end - depth, end).map(({ from }) => ({ from, fresh: true }));
      layers = [...layers.slice(0, end), ...copy, ...layers.slice(end)];
    }
    return layers;
  },
};

/** Where the middle block of so many layers begins. */
function startOf(layers: number, depth: number): number {
  const blocks = layers / depth;
  return Number.isInteger(blocks) ? (Math.ceil(blocks / 2) - 1) * depth : Math.floor((layers - depth) / 2);
}
