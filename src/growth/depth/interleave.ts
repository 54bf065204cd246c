/**
 * Interleaving: each layer beside its copy; target layer l is source layer ⌊l · L_s / L_t⌋.
 *
 * A common variant of stacking; compared in Du et al., "Stacking Your Transformers" (NeurIPS 2024).
 */
import type { DepthRule } from "../growth.ts";

export const interleave: DepthRule = {
  name: "interleave",
  description: "each layer beside its copies",
  paper: { title: "Stacking Your Transformers", url: "https://arxiv.org/abs/2405.15319" },
  promise: () => ({ kind: "none", reason: "layers are repeated" }),
  layers(source, target) {
    const from = Array.from({ length: target }, (_, layer) => Math.floor((layer * source) / target));
    return from.map((layer, i) => ({ from: layer, fresh: i > 0 && from[i - 1] === layer }));
  },
};
