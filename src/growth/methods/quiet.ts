/**
 * Quiet DirectCopy: the source in the corner, the rest random, but no old unit hears a new one: what old units read from
 * new ones is 0. New units of the stream are written freely (random embeddings, random columns of what writes it) and
 * read by new inner units alone; new inner units write into new units of the stream alone.
 *
 * Made for this package from DirectCopy (Chen et al., "bert2BERT", ACL 2022, section 4), whose capacity is free at once,
 * and fresh units as in LEMON, which keep the function. What still moves the function is what can't be kept from seeing
 * all units: LayerNorm's mean and variance, and the tied head, whose last norm passes new units on. Moments: the source's
 * in the corner, 0 elsewhere.
 */
import { normName } from "../../model/table.ts";
import { grownMaps, seenByNorms, type WidthMethod } from "../growth.ts";
import { choose, constant } from "../recipe.ts";
import { fresh, grownFactors, newUnits } from "../width.ts";
import { direct, ownStream } from "./direct.ts";

export const quiet: WidthMethod = {
  name: "quiet",
  description: "quiet DirectCopy: the source in the corner, the rest random, and no old unit reads a new one",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: [],

  promise(growth) {
    if (seenByNorms(growth).length > 0) {
      const seeing = `${normName(growth.source.parameters)} and the ${growth.source.outputs.lm === "tied" ? "tied " : ""}head`;
      return { kind: "none", reason: `${seeing} see new random units of the stream` };
    }
    const reason = grownMaps(growth).length > 0 ? "new inner units write nothing into the stream" : "no unit is new";
    return { kind: "exact", reason };
  },

  maps: ownStream,

  recipe(parameter, growth, content) {
    const made = direct.recipe(parameter, growth, content);
    const reading = parameter.dims.findIndex((dim) => dim.role === "in");
    if (content !== "weight" || parameter.dims.length < 2 || reading < 0) return made;
    if (grownFactors(growth, parameter.dims[reading]).length === 0) return made;
    // Old units hear 0 of new ones; the rows of new units are random as they are.
    const hushed = choose(
      reading,
      newUnits(growth, parameter.dims[reading]),
      made,
      constant(made.shape, 0),
      `${made.words}, of which old units read none`,
    );
    const writing = parameter.dims.findIndex((dim) => dim.role === "out" && grownFactors(growth, dim).length > 0);
    if (writing < 0) return hushed;
    const marks = newUnits(growth, parameter.dims[writing]);
    return choose(writing, marks, hushed, fresh(growth, parameter), hushed.words);
  },
};
