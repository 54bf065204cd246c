/**
 * LEMON, lossless model expansion: whole copies of the stream, and units beyond them that no norm notices.
 *
 * Wang et al., "LEMON: Lossless Model Expansion" (ICLR 2024), section 4. The stream is copied k = ⌊D_t / D_s⌋ times as a
 * whole; what carries on in the units that are left depends on the norms:
 *
 * - means: each carries the mean of the old ones (LayerNorms before the branches). LayerNorm's mean stays, and a unit at
 *   the mean leaves it as 0.
 * - zeros: each carries 0 (RMSNorms, wherever they stand), and leaves them as 0.
 *
 * Either way the variance, or the mean square, is s times what it was, s = k · D_s / D_t. So gains of copies are √s as
 * large, eps is s times the source's (the target's config says so), and what reads the units that are left is free:
 * random. Where that eps is the queries' norms' too, it stays, and what writes the stream is 1/√s as large instead.
 * Heads and FFN units are copied as by fpi, or fresh (`inner`). A LayerNorm that stands on the stream itself, or behind
 * an activation, makes no mean unit the mean again: there all is fpi's, which keeps the function at whole multiples.
 *
 * Moments: with zeros, as what the weights were multiplied with says, the other way; with means they start at 0 unless
 * all units are copies, since what reads mean units sends gradients of its own through LayerNorm.
 */
import type { Model } from "../../model/architecture.ts";
import { out } from "../../model/parameters.ts";
import { type Dim, followsStream, normName, type Parameter, runsAlong, shapeOf } from "../../model/table.ts";
import { UserError } from "../../util/errors.ts";
import type { Content, Growth, Promised, WidthMethod } from "../growth.ts";
import { copiesOf, replaced, streamOf, type UnitMap, unitMap } from "../maps.ts";
import { averaged, choose, constant, type Recipe, scaled } from "../recipe.ts";
import { sharesOf, sharing } from "../shares.ts";
import { copied, fresh, uncopiedUnits } from "../width.ts";
import { copiesKeepTheFunction } from "./fpi.ts";
import { ownInner, withFreshInner } from "./fresh.ts";

export const lemon: WidthMethod = {
  name: "lemon",
  description:
    "LEMON: whole copies of the stream, units beyond them that no norm notices; exact at any width unless a LayerNorm stands on the stream",
  paper: { title: "LEMON: Lossless Model Expansion", url: "https://arxiv.org/abs/2310.07999" },
  options: [
    ...sharing,
    { name: "inner", words: ["copied", "fresh"], description: "new heads and FFN units: copies, or random and silent" },
  ],

  promise(growth): Promised {
    const promise = copiesKeepTheFunction(growth);
    const filling = fillingOf(growth.source);
    const norm = normName(growth.source.parameters);
    if (promise.kind === "none" && filling === undefined) {
      const reason = `nothing passes a ${norm} on the stream unnoticed, so units are copied as by fpi; ${promise.reason}`;
      return { ...promise, reason };
    }
    if (promise.kind === "none" || !isFilled(growth)) return promise;
    const [copies] = streamOf(growth.maps).counts;
    const times = copies === 1 ? "once" : `${copies} times`;
    const rest = filling === "means" ? "the units at its mean" : "the units of 0";
    return { kind: "exact", reason: `the stream is copied ${times}, and no ${norm} sees ${rest}` };
  },

  maps: ({ source, drawn }) => (fillingOf(source) === undefined ? drawn : replaced(drawn, "hidden", wholeCopies)),

  held(growth, last) {
    const { source, target } = growth;
    if (!isFilled(growth) || !queriesShareEps(source)) return undefined;
    const root = Math.sqrt(variance(source.dimensions.hidden, target.dimensions.hidden));
    const shares = sharesOf(growth, "hidden", streamOf(growth.maps));
    if (!last) return shares.fill(1 / root);
    return source.outputs.lm === "tied" ? shares.map((share) => share * root) : undefined;
  },

  eps(source, target) {
    const stays = fillingOf(source) === undefined || queriesShareEps(source);
    return source.settings.eps * (stays ? 1 : variance(source.dimensions.hidden, target.dimensions.hidden));
  },

  recipe(parameter, growth, content) {
    const plain = withInner(parameter, growth, content);
    if (!isFilled(growth)) return plain;
    const means = fillingOf(growth.source) === "means";
    if (means && content !== "weight") return constant(shapeOf(parameter), 0);
    const own = scaled(plain, factorOf(parameter, growth) ** { weight: 1, m: -1, v: -2 }[content]);
    const d = parameter.dims.findIndex(isStream);
    if (d < 0) return own;
    const filled = (rest: Recipe, words: string) =>
      choose(d, uncopiedUnits(growth, parameter.dims[d]), own, rest, own.words + words);
    if (parameter.part === "norm-gain" && content === "weight") return filled(constant(own.shape, 1), "");
    if (parameter.part === "norm-shift" || content !== "weight") return filled(constant(own.shape, 0), "");
    if (parameter.dims[d].role === "in") {
      return filled(fresh(growth, parameter), `; what reads units ${means ? "at the mean" : "of 0"} random`);
    }
    return means
      ? filled(meansOf(parameter, growth, content, d), "; the rest at the mean")
      : filled(constant(own.shape, 0), "; the rest 0");
  },
};

/** What units beyond whole copies carry so that no norm notices them; undefined where nothing does. */
function fillingOf(model: Model): "means" | "zeros" | undefined {
  const { parameters } = model;
  const norms = parameters.flatMap(({ norm, dims }) => (norm !== undefined && isStream(dims[0]) ? [norm] : []));
  // Behind a norm that writes the stream, or an activation, the mean of some units is another than that unit's value.
  const remade = norms.some(({ sees }) => sees === "stream") || parameters.some(({ dims }) => dims.some(followsStream));
  if (norms.every(({ kind }) => kind === "rms")) return remade && queriesShareEps(model) ? undefined : "zeros";
  return !remade && norms.every(({ kind }) => kind === "layer") ? "means" : undefined;
}

/** Whether the one eps is also that of norms whose units stay. */
function queriesShareEps({ parameters }: Model): boolean {
  return parameters.some(({ norm }) => norm?.sees === "query");
}

/** Whether the stream, or what is mapped like it, lies along a dimension. */
function isStream(dim: Dim): boolean {
  return runsAlong(dim, "hidden") || followsStream(dim);
}

/** Whether units of the stream are left beyond whole copies. */
function isFilled(growth: Growth): boolean {
  const stream = streamOf(growth.maps);
  return copiesOf(stream) < stream.of.length;
}

/** What variance and mean square become: the share of the target's units that are copies. */
function variance(source: number, target: number): number {
  return (Math.floor(target / source) * source) / target;
}

/** What a parameter's own entries are multiplied with, beside the shares of copies. */
function factorOf({ part, norm, dims }: Parameter, growth: Growth): number {
  const { source, target } = growth;
  const root = Math.sqrt(variance(source.dimensions.hidden, target.dimensions.hidden));
  const written = queriesShareEps(source) ? 1 / root : 1;
  if (norm === undefined) return dims.some((dim) => dim.role === "out" && runsAlong(dim, "hidden")) ? written : 1;
  if (!isStream(dims[0])) return 1;
  // What is read by the tied head, a matrix that writes the stream, makes up for how it is written.
  return (part === "norm-gain" ? root : 1) / (dims[0].role === "in" ? written : 1);
}

/** The stream's map with whole copies alone: what is left over copies nothing. */
function wholeCopies(map: UnitMap): UnitMap {
  const whole = Math.floor(map.of.length / map.source);
  const copies = whole * map.source;
  const counts = new Uint32Array(map.source);
  for (let j = 0; j < copies; j++) counts[map.of[j]]++;
  if (counts.some((count) => count !== whole)) {
    const what = "lemon copies every unit equally often, which this map does not";
    throw new UserError(what, "--map", "take cyclic or shuffled");
  }
  return { source: map.source, of: map.of, counts, copies };
}

function withInner(parameter: Parameter, growth: Growth, content: Content): Recipe {
  if (growth.options.inner !== "fresh") return copied(growth, parameter, content);
  const own = copied(growth, parameter, content, parameter.layer, ownInner);
  return withFreshInner(parameter, growth, content, own);
}

/** At every index along the stream the mean over its old units. */
function meansOf(parameter: Parameter, growth: Growth, content: Content, d: number): Recipe {
  const { source, of } = streamOf(growth.maps);
  const dims = parameter.dims.map((dim, i) => (i === d ? out(["hidden", source]) : dim));
  const maps = replaced(growth.maps, "hidden", () => unitMap(source, of.subarray(0, source)));
  const made = withInner({ ...parameter, dims }, { ...growth, maps }, content);
  return averaged(made, d, shapeOf(parameter));
}
