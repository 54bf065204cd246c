/**
 * `plan: {two-stage: {block, share}}` – bert2BERT's two-stage pre-training (Chen et al., ACL 2022, section 3.4): first,
 * for `share` of the steps, every step draws one of the sub-models made of the bottom block, 2·block, … all layers, and
 * trains its top `block` layers and the head; then the whole model. One schedule and one optimizer state across both.
 *
 * Where the depth is no multiple of `block` the last sub-model is the whole depth and trains its top `block` layers.
 */
import { z } from "zod";
import type { SubModel } from "../stage.ts";
import { definePlan } from "./plan.ts";

export const twoStage = definePlan({
  name: "two-stage",
  description: "sub-models that train their top blocks, then the whole model",
  options: z.strictObject({
    block: z.int().min(1).default(3),
    share: z.number().gt(0).lt(1).default(0.125),
  }),
  expand: ({ block, share }, layers) => [
    { name: "sub-models", share, models: twoStageModels(block, layers), head: true, optimizer: "keep" },
    { name: "full", head: true, optimizer: "keep" },
  ],
});

/** Bottom `block`, 2·`block`, … `layers` layers, each training its top `block`. */
export function twoStageModels(block: number, layers: number): readonly SubModel[] {
  const depths = Array.from({ length: Math.ceil(layers / block) }, (_, i) => Math.min(layers, (i + 1) * block));
  return depths.map((depth) => ({ layers: depth, train: Math.min(block, depth) }));
}
