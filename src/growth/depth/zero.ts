/**
 * Zero branches: new layers that add nothing to the stream, so that they hand on what they get.
 *
 * The branches of a new layer end in zero: its output projections and their biases are 0. Where norms stand before the
 * branches (pre-LN) that is all. Where they stand on the stream itself (post-LN), what arrives has just left the norm
 * of the layer below, y = γ·x̂ + β, and normalising y again would change it; so that gain and shift move up: the norm
 * below and all norms of the new layer but its last become plain (1, 0), and the last takes (γ, β). The stream between
 * moved norms changes (x̂ instead of y), the function does not, but for eps: a relative eps · |1/var − 1| / 2, var being
 * the variance that enters the norm below.
 *
 * The rest of a new layer is a copy of the layer below it: nothing reads what it makes until the zeros move. Moments of
 * new layers and of moved parameters start at 0. (Lineage: identity layers as in Shen et al., "Staged Training for
 * Transformer Language Models", ICML 2022, and Wang et al., "LEMON", ICLR 2024.)
 */
import { normName, normsOnStream, shapeOf } from "../../model/table.ts";
import type { DepthRule, LayerOrigin } from "../growth.ts";
import { constant } from "../recipe.ts";

/** New layer i of n goes above source layer ⌈(i + 1) · L_s / n⌉, counted from 1: never directly above the embeddings. */
export function between(source: number, target: number): readonly LayerOrigin[] {
  if (source === 0) return Array.from({ length: target }, () => ({ from: -1, fresh: true }));
  const added = target - source;
  const above = Array.from({ length: added }, (_, i) => Math.ceil(((i + 1) * source) / added) - 1);
  return Array.from({ length: source }, (_, from): LayerOrigin[] => [
    { from, fresh: false },
    ...above.filter((layer) => layer === from).map(() => ({ from, fresh: true })),
  ]).flat();
}

export const zero: DepthRule = {
  name: "zero",
  description: "new layers whose branches end in zero: they hand on what they get",
  paper: { title: "LEMON: Lossless Model Expansion", url: "https://arxiv.org/abs/2310.07999" },
  promise(growth) {
    const { settings, parameters } = growth.source;
    // What moving a norm costs, at variances down to 1/200 of the usual 1.
    const onStream = normsOnStream(growth.target.parameters).length > 0;
    if (onStream && growth.source.dimensions.layers === 0) {
      return { kind: "none", reason: "new layers norm what has just left the embeddings' norm" };
    }
    const within = onStream ? 100 * settings.eps : 0;
    return within <= 1e-5
      ? { kind: "exact", reason: "new layers hand on what they get" }
      : {
          kind: "near",
          within,
          reason: `new layers hand on what they get, but for ${normName(parameters)}'s eps of ${settings.eps}`,
        };
  },

  anew: true,
  layers: between,

  adjust(parameter, content, growth, widened) {
    if (parameter.layer === null) return undefined;
    const layers = between(growth.source.dimensions.layers, growth.target.dimensions.layers);
    const { from, fresh } = layers[parameter.layer];
    const shape = shapeOf(parameter);
    const handsOver = layers[parameter.layer + 1]?.fresh === true;
    if (fresh && parameter.part === "branch-output") return constant(shape, 0);
    if (from < 0) return undefined;
    const norms = normsOnStream(growth.target.parameters).filter(({ layer }) => layer === parameter.layer);
    const last = norms.findLast((p) => p.part === parameter.part);
    const moved = norms.includes(parameter) && (fresh || (handsOver && parameter === last));
    if (moved) {
      if (content !== "weight") return constant(shape, 0);
      return parameter === last && !handsOver
        ? widened(parameter.kind, from)
        : constant(shape, parameter.part === "norm-gain" ? 1 : 0);
    }
    return fresh && content !== "weight" ? constant(shape, 0) : undefined;
  },
};
