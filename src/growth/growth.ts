/**
 * The contract of growth: a width method and a depth rule are data that say what each target tensor is made of.
 *
 * Width comes first, then depth: a width method describes the widened network (the target's widths, the source's
 * layers); a depth rule says which widened layer each target layer is, and what becomes of it. Both say what they keep
 * of the source's function, as a function of the growth, and `verify` holds them to it.
 */
import type { Model } from "../model/architecture.ts";
import type { Parameter } from "../model/table.ts";
import { type AxisMaps, grows, mapOf, type UnitMap } from "./maps.ts";
import type { Recipe } from "./recipe.ts";

/** What a recipe makes: the weights, or Adam's first (m) or second (v) moment of them. */
export type Content = "weight" | "m" | "v";

/**
 * How much of the source's function the grown model computes. `exact`: all, but for rounding. `near`: logits within a
 * share of their scale. `none`: nothing is promised.
 */
export type Promised =
  | { readonly kind: "exact"; readonly reason: string }
  | { readonly kind: "near"; readonly within: number; readonly reason: string }
  | { readonly kind: "none"; readonly reason: string };

/** An option of a width method: one of several words, or a number. The first word, or `default`, holds where none is given. */
export type OptionDefinition =
  | { readonly name: string; readonly words: readonly string[]; readonly description: string }
  | { readonly name: string; readonly default: number; readonly description: string };

export type OptionValues = Readonly<Record<string, string | number>>;

/** Source, target and the choices made: what a method's functions are given. */
export interface Growth {
  readonly source: Model;
  readonly target: Model;
  /** As they were drawn, and as growth.json holds them. */
  readonly drawn: AxisMaps;
  /** As the method takes them. */
  readonly maps: AxisMaps;
  /** The width method's options, every one of them. */
  readonly options: OptionValues;
  /** For whatever the method draws. */
  readonly seed: number;
}

/** Where a method comes from. */
export interface Lineage {
  readonly title: string;
  readonly url: string;
}

export interface WidthMethod {
  readonly name: string;
  /** In a sentence. */
  readonly description: string;
  readonly paper: Lineage;
  readonly options: readonly OptionDefinition[];
  promise(growth: Growth): Promised;
  /** The weights are learned on data (train/ligo.ts): recipes give starting values only. */
  readonly learned?: true;
  /** The maps where they are others than those drawn: which source unit each unit is a copy of, and which are of none. */
  maps?(growth: Growth): AxisMaps;
  /**
   * What each unit of a hidden state holds of its source unit's value, where that is not all of it. @param last of the
   * state that the heads read; default there: what adds up to 1 over the copies, where a tied head reads it
   */
  held?(growth: Growth, last: boolean): Float64Array | undefined;
  /** The LayerNorm eps that the target needs; default: the source's. */
  eps?(source: Model, target: Model): number;
  /** @param parameter of the target's table; within the blocks, of one of the layers that the source has too */
  recipe(parameter: Parameter, growth: Growth, content: Content): Recipe;
}

/** What a target layer is. */
export interface LayerOrigin {
  /** The widened layer it is made from, from 0 at the bottom; −1: none, it is drawn as for a new model. */
  readonly from: number;
  /** Whether another target layer is that layer's own continuation: this one is new. */
  readonly fresh: boolean;
}

export interface DepthRule {
  readonly name: string;
  readonly description: string;
  readonly paper: Lineage;
  /** Its new layers may be made from none, so that a model without layers can grow. */
  readonly anew?: true;
  /** The rule with what its new layers write into the stream multiplied. */
  scaled?(factor: number): DepthRule;
  /** What it keeps of the widened network's function; not asked where the depth stays. */
  promise(growth: Growth): Promised;
  /** For each target layer, bottom to top; every source layer is continued by exactly one that is not fresh. */
  layers(source: number, target: number): readonly LayerOrigin[];
  /**
   * Another recipe for a parameter of the blocks than its widened layer's.
   * @param widened the recipe of a kind of parameter in a widened layer
   */
  adjust?(
    parameter: Parameter,
    content: Content,
    growth: Growth,
    widened: (kind: string, layer: number) => Recipe,
  ): Recipe | undefined;
}

/** A growth with its maps as the method takes them. */
export function growthBy(method: WidthMethod, given: Omit<Growth, "maps">): Growth {
  const growth = { ...given, maps: given.drawn };
  return { ...growth, maps: method.maps?.(growth) ?? given.drawn };
}

/** The maps of the axes that grow. */
export function grownMaps({ maps }: Growth): readonly UnitMap[] {
  return [...maps.values()].filter(grows);
}

/** Those of them whose units a norm sees together: unevenly many copies change what it makes of all. */
export function seenByNorms({ maps, source }: Growth): readonly UnitMap[] {
  const norms = source.parameters.filter((parameter) => parameter.norm !== undefined);
  const axes = norms.flatMap(({ dims }) => dims.flatMap((dim) => dim.factors.map((factor) => factor.axis)));
  return [...new Set(axes)].flatMap((axis) => {
    const map = mapOf(maps, axis);
    return map !== undefined && grows(map) ? [map] : [];
  });
}

/** The source's parameter of a kind, in a layer. @throws Error if it has none: source and target have one table */
export function sourceParameter(
  growth: Growth,
  parameter: Parameter,
  layer: number | null = parameter.layer,
): Parameter {
  const found = growth.source.parameters.find((p) => p.kind === parameter.kind && p.layer === layer);
  if (found === undefined) throw new Error(`the source has no ${parameter.kind} in layer ${layer}`);
  return found;
}

/** What is kept by one step after the other: the weaker of two promises. */
export function weaker(a: Promised, b: Promised): Promised {
  const reason = `${a.reason}; ${b.reason}`;
  if (a.kind === "exact" && b.kind === "exact") return { kind: "exact", reason };
  if (a.kind === "none" || b.kind === "exact") return a;
  if (b.kind === "none" || a.kind === "exact") return b;
  return { kind: "near", within: a.within + b.within, reason };
}
