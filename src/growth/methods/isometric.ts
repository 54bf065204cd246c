/**
 * Isometric copies: exact at any width and for any map, where the norms are RMSNorms.
 *
 * Made for this package. An RMSNorm sees of its input nothing but its length. A unit of the stream of which there are C
 * copies is written to each a = 1/√C as strong and read a as strong: a² adds up to 1 over the copies, so lengths and
 * products stay whatever the counts are. The mean is over more units then; c = √(D_t / D_s) on all that writes the stream
 * makes up for it, so that eps may stay as it is (Qwen 3's serves the norms of queries and keys too). So: what writes the
 * stream is times a·c, what reads it times a, gains of the norms in between times 1/c, and the last gain before a tied
 * head, which is a matrix that writes the stream, times 1/c². Any a with Σa² = 1 will do: `shares` unequal draws a². Heads
 * and FFN units are copied as by fpi.
 *
 * Moments: what a weight is multiplied with is a²'s part in it, and its gradient has the rest: times a² over that factor.
 */
import { type Dim, followsStream, type Parameter, runsAlong } from "../../model/table.ts";
import { UserError } from "../../util/errors.ts";
import type { Growth, Promised, WidthMethod } from "../growth.ts";
import { grows, streamOf } from "../maps.ts";
import { sharesOf, sharing } from "../shares.ts";
import { copied } from "../width.ts";
import { copiesKeepTheFunction } from "./fpi.ts";

export const isometric: WidthMethod = {
  name: "isometric",
  description:
    "units of the stream are copied 1/√copies as strong, so that its length stays; exact at any width, for RMSNorms alone",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: sharing,

  promise(growth): Promised {
    if (!grows(streamOf(growth.maps))) return copiesKeepTheFunction(growth);
    const { architecture, parameters } = growth.source;
    const other = parameters.find(seesMore);
    if (other !== undefined) {
      const what = `${other.name} of a ${architecture.type} makes more of the stream than its length, which is all that stays`;
      throw new UserError(what, "--method isometric", "take lemon or fpi, or leave the hidden size as it is");
    }
    return { kind: "exact", reason: "the stream's length stays, and no RMSNorm sees more of it" };
  },

  held(growth, last) {
    const { written, copies } = factorsOf(growth);
    const final = growth.target.parameters.find(({ norm }) => norm?.sees === "head");
    if (!last || final === undefined) return copies.map((a) => a * written);
    return final.dims[0].role === "in" ? copies.map((a) => a / written) : copies;
  },

  recipe(parameter, growth, content) {
    const weigh = (dim: Dim) => (runsAlong(dim, "hidden") ? factors(parameter, dim, growth) : undefined);
    return copied(growth, parameter, content, parameter.layer, undefined, weigh);
  },
};

/** Whether a parameter is of a norm of the stream that sees its mean, or its units pass an activation. */
function seesMore({ norm, dims }: Parameter): boolean {
  return dims.some((dim) => followsStream(dim) || (norm?.kind === "layer" && runsAlong(dim, "hidden")));
}

/** c, and the a of each unit of the stream. */
function factorsOf(growth: Growth): { readonly written: number; readonly copies: Float64Array } {
  const map = streamOf(growth.maps);
  const written = Math.sqrt(map.of.length / map.source);
  return { written, copies: sharesOf(growth, "hidden", map).map(Math.sqrt) };
}

/** What a parameter's entries along the stream are multiplied with, beside the shares of what reads it. */
function factors({ norm, part }: Parameter, { role }: Dim, growth: Growth): Float64Array {
  const { written, copies } = factorsOf(growth);
  const reads = role === "in";
  if (norm === undefined) return copies.map((a) => (reads ? 1 / a : a * written));
  // What comes of a norm on the stream is the stream again.
  const gain = (a: number) => (norm.sees === "stream" ? 1 : reads ? 1 / (a * written) ** 2 : 1 / written);
  return copies.map((a) => gain(a) * (part === "norm-shift" ? a * written : 1));
}
