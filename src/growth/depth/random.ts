/**
 * Random layers: new ones as they are drawn for a new model, at the same heights as by `zero`. Their moments start at 0.
 *
 * Bu, "Scaling depth capacity via zero/one-layer model expansion" (ICML 2026), on how new layers begin: those
 * layers that are drawn end no worse than copies if the network grows once, late. What becomes of the function at once
 * is for the size of their branches to say: nothing is promised.
 */
import { shapeOf } from "../../model/table.ts";
import type { DepthRule } from "../growth.ts";
import { constant, scaled } from "../recipe.ts";
import { fresh } from "../width.ts";
import { between } from "./zero.ts";

/** @param factor on what a new layer's branches end in: small ones change the function little at first, and yet learn */
const withBranches = (factor: number): DepthRule => ({
  name: factor === 1 ? "random" : `random:${factor}`,
  description: "new layers are drawn as for a new model; random:0.1: what they write into the stream times 0.1",
  paper: {
    title: "Scaling depth capacity via zero/one-layer model expansion",
    url: "https://arxiv.org/abs/2511.04981",
  },
  promise: () => ({ kind: "none", reason: "new layers are random" }),
  anew: true,
  scaled: withBranches,
  layers: between,
  adjust(parameter, content, growth) {
    const layers = between(growth.source.dimensions.layers, growth.target.dimensions.layers);
    if (parameter.layer === null || !layers[parameter.layer].fresh) return undefined;
    if (content !== "weight") return constant(shapeOf(parameter), 0);
    return scaled(fresh(growth, parameter), parameter.part === "branch-output" ? factor : 1);
  },
});

export const random = withBranches(1);
