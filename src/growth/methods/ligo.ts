/**
 * LiGO, learned linear growth: Ω = B · W · Aᵀ, with B and A learned in about a hundred steps from FPI-like starting values.
 *
 * Wang et al., "Learning to Grow Pretrained Models for Efficient Transformer Training" (ICLR 2023), section 3. One matrix
 * an axis for what makes its units (B) and one for what reads them (A), tied over the whole network as maps are; in depth
 * each target layer is a learned sum of the widened source layers. Here are the starting values alone: the fit needs data
 * and an engine (train/ligo.ts) and gives the plan its weights.
 *
 * Moments start at 0: nothing is copied.
 */
import { shapeOf } from "../../model/table.ts";
import type { WidthMethod } from "../growth.ts";
import { constant } from "../recipe.ts";
import { copied } from "../width.ts";
import { ownStream } from "./direct.ts";

export const ligo: WidthMethod = {
  name: "ligo",
  description: "LiGO: linear maps of the source's weights, learned in some steps on prepared data (--data)",
  paper: {
    title: "Learning to Grow Pretrained Models for Efficient Transformer Training",
    url: "https://arxiv.org/abs/2303.00980",
  },
  learned: true,
  options: [
    { name: "steps", default: 100, description: "steps that the maps are learned in" },
    { name: "rate", default: 1e-3, description: "their peak learning rate" },
    { name: "sequences", default: 16, description: "sequences of such a step" },
    {
      name: "jitter",
      default: 0.1,
      description: "noise on the maps' starting values, as a share of their rows' norms",
    },
  ],
  promise: () => ({ kind: "none", reason: "the weights are learned for the loss, not for the function" }),
  maps: ownStream,
  recipe: (parameter, growth, content) =>
    content === "weight"
      ? copied({ ...growth, maps: growth.drawn }, parameter, content)
      : constant(shapeOf(parameter), 0),
};
