/**
 * Spreading: target layer i is the source layer nearest to its relative height, min(round(i · L_s / L_t), L_s − 1), halves
 * to the even one.
 *
 * Rae et al., "Scaling Language Models: Methods, Analysis & Insights from Training Gopher" (2021), appendix G.3; used for
 * ModernBERT's large model (Warner et al. 2024).
 */
import type { DepthRule } from "../growth.ts";

export const spread: DepthRule = {
  name: "spread",
  description: "each layer from the one nearest to its relative height",
  paper: { title: "Scaling Language Models (Gopher)", url: "https://arxiv.org/abs/2112.11446" },
  promise: () => ({ kind: "none", reason: "layers are repeated" }),
  layers(source, target) {
    const from = Array.from({ length: target }, (_, layer) =>
      Math.min(source - 1, halvesToEven((layer * source) / target)),
    );
    return from.map((layer, i) => ({ from: layer, fresh: i > 0 && from[i - 1] === layer }));
  },
};

function halvesToEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}
