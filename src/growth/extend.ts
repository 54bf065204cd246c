/**
 * More ids and more positions than the source has: rows of its tables, and of what makes its logits, from those that are
 * there. Width and depth are grown first; this stands on top of whatever they make.
 *
 * Ids. The rows of a new id are the mean of those of its pieces, the old ids that its text is cut into (Gee et al., "Fast
 * Vocabulary Transfer for Language Model Compression", EMNLP 2022); those of one without pieces are drawn. Embeddings, a
 * head of its own and the head's bias alike, so that a tied head says the same as an untied one. The hidden states of old
 * ids stay, and so do their logits; what changes is that others stand beside them.
 *
 * Positions. `extend`: a table's rows go round again (Beltagy et al., "Longformer", 2020, section 5), rotary positions go
 * on: texts that fit before are computed as before. `interpolate`: the old range is spread over the new one, a table
 * linearly between its rows, rotary positions by a factor (Chen et al., "Extending Context Window of Large Language Models
 * via Positional Interpolation", 2023). `base`: rotary positions get the base at which the slowest pair turns as far over
 * the new range as before over the old one, base · s^(w / (w − 2)) for heads of w units (NTK-aware scaling; Peng et al.,
 * "YaRN", 2023, section 3.1). Moments of what is new, and of rows that are mixed, start at 0.
 */
import type { Model } from "../model/architecture.ts";
import { type Parameter, runsAlong, shapeOf } from "../model/table.ts";
import { UserError } from "../util/errors.ts";
import type { Content, Growth, Promised } from "./growth.ts";
import { constant, type Recipe, rowWidth } from "./recipe.ts";
import { fresh } from "./width.ts";

export const POSITION_RULES = ["extend", "interpolate", "base"] as const;
export type PositionRule = (typeof POSITION_RULES)[number];

/** What a growth may do beyond width and depth. */
export interface Extension {
  /** The old ids that a new id's rows are the mean of; one that is missing here is drawn. */
  readonly pieces: ReadonlyMap<number, readonly number[]>;
  /** Default extend. */
  readonly positions: PositionRule;
  /** The hash of the tokenizer that new ids are of. */
  readonly tokenizer?: string;
}

/** A parameter as it would be with the source's ids and positions. */
export function beforeExtension(parameter: Parameter, source: Model): Parameter {
  const like = source.parameters.find(({ kind }) => kind === parameter.kind);
  const dims = parameter.dims.map((dim, d) =>
    like !== undefined && (runsAlong(dim, "vocab") || runsAlong(dim, "position")) ? like.dims[d] : dim,
  );
  return { ...parameter, dims };
}

/** What an index is made of: old indices and their factors; none for one that is drawn. */
type Terms = readonly (readonly [index: number, factor: number])[];

/** @param base what the parameter is with the source's ids and positions */
export function extended(
  growth: Growth,
  parameter: Parameter,
  content: Content,
  base: Recipe,
  { pieces, positions }: Extension,
): Recipe {
  const shape = shapeOf(parameter);
  const axis = (["vocab", "position"] as const).find((name) => runsAlong(parameter.dims[0], name));
  const [from, to] = [base.shape[0], shape[0]];
  if (axis === undefined || from === to) return base;
  const weight = content === "weight";
  const mixed = axis === "position" && positions !== "extend";
  if (mixed && !weight) return constant(shape, 0);
  const { first = 0 } = growth.source.network.embedding.positions ?? {};
  const termsOf = (index: number): Terms => {
    if (!weight) return [];
    if (axis === "vocab") return (pieces.get(index) ?? []).map((id, _, all) => [id, 1 / all.length]);
    if (!mixed) return [[first + ((index - first) % (from - first)), 1]];
    if (index < first) return [[index, 1]];
    const at = ((index - first) * (from - first - 1)) / Math.max(1, to - first - 1);
    const [below, rest] = [first + Math.floor(at), at % 1];
    return rest === 0
      ? [[below, 1]]
      : [
          [below, 1 - rest],
          [below + 1, rest],
        ];
  };
  // A vector is stored as one row, but grows as a column of its entries.
  const vector = shape.length === 1;
  const width = vector ? 1 : rowWidth(shape);
  const drawn = weight ? fresh(growth, parameter) : constant(shape, 0);
  const made = { vocab: "new ids from their pieces, or drawn", position: `new positions: ${positions}` }[axis];
  return {
    ...base,
    shape,
    partly: !weight || base.partly,
    words: `${base.words}; ${weight ? made : "new rows 0"}`,
    lossless: base.lossless === true && !mixed && (axis === "position" || pieces.size === 0),
    async fill(out, row, source) {
      const whole = vector ? new Float32Array(from) : undefined;
      if (whole !== undefined) await base.fill(whole, 0, source);
      const old = async (into: Float32Array, index: number) => {
        if (whole === undefined) await base.fill(into, index, source);
        else into.set(whole.subarray(index, index + into.length));
      };
      const rows = out.length / width;
      const kept = mixed ? 0 : Math.max(0, Math.min(rows, from - row));
      if (kept > 0) await old(out.subarray(0, kept * width), row);
      const one = new Float32Array(width);
      for (let r = kept; r < rows; r++) {
        const values = out.subarray(r * width, (r + 1) * width);
        const terms = termsOf(row + r);
        if (terms.length === 0) await drawn.fill(values, row + r, source);
        else values.fill(0);
        for (const [index, factor] of terms) {
          await old(one, index);
          for (let j = 0; j < width; j++) values[j] += factor * one[j];
        }
      }
    },
  };
}

/** What is kept beyond width and depth; undefined where there are as many ids and positions as before. */
export function extensionPromise({ source, target }: Growth, { positions }: Extension): Promised | undefined {
  const [from, to] = [source.dimensions, target.dimensions];
  const said: string[] = [];
  if (to.vocab > from.vocab) {
    said.push(`old ids keep their logits, those of ${to.vocab - from.vocab} new ones stand beside them in the softmax`);
  }
  if (to.positions > from.positions) {
    if (positions !== "extend") return { kind: "none", reason: `positions are made anew (${positions})` };
    said.push(`texts of up to ${from.positions} tokens keep their positions`);
  }
  return said.length === 0 ? undefined : { kind: "exact", reason: said.join("; ") };
}

/** A model of more positions with rotary ones that reach so far; tables need no other config. @throws UserError */
export function stretchedModel(model: Model, by: "interpolate" | "base", factor: number): Model {
  const { architecture, outputs } = model;
  if (model.parameters.some(({ dims }) => runsAlong(dims[0], "position"))) {
    if (by === "interpolate") return model;
    const what = `a ${architecture.type} has a table of positions, which has no base`;
    throw new UserError(what, "--positions-by", "take extend or interpolate");
  }
  if (architecture.stretched === undefined) {
    const what = `rotary positions of a ${architecture.type} can't be stretched here`;
    throw new UserError(what, "--positions-by", "take extend, or give the target's config (--to)");
  }
  return architecture.model(architecture.stretched(model, by, factor), "target config", outputs);
}
