/**
 * LEMON, lossless model expansion: exact at any width where norms stand before the branches (pre-LN).
 *
 * Wang et al., "LEMON: Lossless Model Expansion" (ICLR 2024), section 4: the stream is copied k = ⌊D_t / D_s⌋ times as a
 * whole, and each unit that is left carries the mean of the old ones. So LayerNorm's mean stays, its variance is s times
 * what it was, s = k · D_s / D_t, and a unit at the mean leaves it as 0. Hence gains of copies are √s as large, shifts of
 * mean units 0, eps is s times the source's (the target's config says so), what writes the stream gets columns of means,
 * and what reads a mean unit is free: random. Heads and FFN units are copied as by fpi, or fresh (`inner`).
 *
 * Where norms stand on the stream itself (BERT) no gain makes a mean unit the mean again: there it is fpi, which keeps the
 * function at whole multiples of the width. Moments: as fpi's at a multiple; else they start at 0, since what reads mean units sends
 * gradients of its own through LayerNorm.
 */
import { out } from "../../model/parameters.ts";
import { type Parameter, runsAlong, shapeOf } from "../../model/table.ts";
import { UserError } from "../../util/errors.ts";
import type { Content, Growth, Promised, WidthMethod } from "../growth.ts";
import { copiesOf, mapOf, replaced, type UnitMap } from "../maps.ts";
import { averaged, choose, constant, type Recipe } from "../recipe.ts";
import { sharing } from "../shares.ts";
import { copied, fresh, uncopiedUnits } from "../width.ts";
import { copiesKeepTheFunction } from "./fpi.ts";
import { ownInner, withFreshInner } from "./fresh.ts";

export const lemon: WidthMethod = {
  name: "lemon",
  description: "LEMON: whole copies of the stream, new units beyond them carry its mean; exact at any width for GPT-2",
  paper: { title: "LEMON: Lossless Model Expansion", url: "https://arxiv.org/abs/2310.07999" },
  options: [
    ...sharing,
    { name: "inner", words: ["copied", "fresh"], description: "new heads and FFN units: copies, or random and silent" },
  ],

  promise(growth): Promised {
    const hidden = streamOf(growth);
    if (copiesOf(hidden) === hidden.of.length) return copiesKeepTheFunction(growth);
    const copies = hidden.counts[0];
    const reason = `the stream is copied ${copies === 1 ? "once" : `${copies} times`}, and no LayerNorm sees the units at its mean`;
    return { kind: "exact", reason, rounded: true };
  },

  maps: ({ drawn, source }) => (source.settings.norm === "post" ? drawn : replaced(drawn, "hidden", wholeCopies)),

  eps: ({ settings, dimensions }, target) =>
    settings.eps * (settings.norm === "pre" ? variance(dimensions.hidden, target.dimensions.hidden) : 1),

  recipe(parameter, growth, content) {
    const hidden = streamOf(growth);
    const atMean = copiesOf(hidden) < hidden.of.length;
    if (atMean && content !== "weight") return constant(shapeOf(parameter), 0);
    const own = withInner(parameter, growth, content);
    const d = parameter.dims.findIndex((dim) => runsAlong(dim, "hidden"));
    if (!atMean || d < 0) return own;
    const marks = uncopiedUnits(growth, parameter.dims[d]);
    const size = hidden.of.length;
    if (parameter.part === "norm-gain") {
      const root = Math.sqrt(variance(hidden.source, size));
      return choose(d, marks, scaled(own, root), constant(own.shape, 1), `${own.words}, times ${root.toPrecision(3)}`);
    }
    if (parameter.part === "norm-shift") return choose(d, marks, own, constant(own.shape, 0), own.words);
    if (parameter.dims[d].role === "in") {
      return choose(d, marks, own, fresh(growth, parameter), `${own.words}; what reads units at the mean random`);
    }
    return choose(d, marks, own, means(parameter, growth, content, d), `${own.words}; the rest at the mean`);
  },
};

/** What variance becomes: the share of the target's units that are copies. */
function variance(source: number, target: number): number {
  return (Math.floor(target / source) * source) / target;
}

function streamOf({ maps }: Growth): UnitMap {
  const map = mapOf(maps, "hidden");
  if (map === undefined) throw new Error("a model without a residual stream");
  return map;
}

/** The stream's map with whole copies alone: what is left over copies nothing. */
function wholeCopies(map: UnitMap): UnitMap {
  const whole = Math.floor(map.of.length / map.source);
  const copies = whole * map.source;
  const counts = new Uint32Array(map.source);
  for (let j = 0; j < copies; j++) counts[map.of[j]]++;
  if (counts.some((count) => count !== whole)) {
    throw new UserError(
      "lemon copies every unit equally often, which this map does not",
      "--map",
      "take cyclic or shuffled",
    );
  }
  return { source: map.source, of: map.of, counts, copies };
}

function withInner(parameter: Parameter, growth: Growth, content: Content): Recipe {
  if (growth.options.inner !== "fresh") return copied(growth, parameter, content);
  const own = copied(growth, parameter, content, parameter.layer, ownInner);
  return withFreshInner(parameter, growth, content, own);
}

/** At every index along the stream the mean over its old units. */
function means(parameter: Parameter, growth: Growth, content: Content, d: number): Recipe {
  const hidden = streamOf(growth);
  const old: UnitMap = {
    source: hidden.source,
    of: hidden.of.subarray(0, hidden.source),
    counts: new Uint32Array(hidden.source).fill(1),
  };
  const narrow: Parameter = {
    ...parameter,
    dims: parameter.dims.map((dim, i) => (i === d ? out(["hidden", hidden.source]) : dim)),
  };
  const made = withInner(narrow, { ...growth, maps: replaced(growth.maps, "hidden", () => old) }, content);
  return averaged(made, d, shapeOf(parameter));
}

function scaled(recipe: Recipe, factor: number): Recipe {
  return {
    ...recipe,
    async fill(out, row, source) {
      await recipe.fill(out, row, source);
      for (let i = 0; i < out.length; i++) out[i] *= factor;
    },
  };
}
