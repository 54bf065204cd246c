/**
 * HyperCloning: units are cloned, what reads a clone is divided by their number, and noise that cancels between the
 * clones of a unit lets them come apart.
 *
 * Samragh et al., "Scaling Smart: Accelerating Large Language Model Pre-training with Small Model Initialization" (2024),
 * section 3: W/n ± η, the weights 10 dB above the noise. Exact where fpi is: at whole multiples of the width, and in the
 * FFN at any ratio (a unit that has no clone gets no noise).
 */
import type { Growth, WidthMethod } from "../growth.ts";
import { noiseOption } from "../shares.ts";
import { copied } from "../width.ts";
import { copiesKeepTheFunction } from "./fpi.ts";

const noisy = (growth: Growth): Growth => ({ ...growth, options: { ...growth.options, shares: "noisy" } });

export const hyperclone: WidthMethod = {
  name: "hyperclone",
  description: "HyperCloning: units are cloned, with noise in the weights that read them, which cancels between clones",
  paper: {
    title: "Scaling Smart: Accelerating Large Language Model Pre-training with Small Model Initialization",
    url: "https://arxiv.org/abs/2409.12903",
  },
  options: [noiseOption],
  promise: (growth) => copiesKeepTheFunction(noisy(growth)),
  recipe: (parameter, growth, content) => copied(noisy(growth), parameter, content),
};
