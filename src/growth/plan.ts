/**
 * Plans a growth: from a source, a target and the choices made, what each target parameter becomes and what is kept of
 * the function. Nothing is read but configs; nothing is written.
 */
import type { FloatDType } from "../checkpoint/dtype.ts";
import { type Model, resizeModel } from "../model/architecture.ts";
import { headWords, isAdded } from "../model/head.ts";
import type { Rope } from "../model/rope.ts";
import {
  AXES,
  type Changes,
  type Dimensions,
  normName,
  type Outputs,
  type Parameter,
  shapeOf,
} from "../model/table.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import { depthRuleOf, depthRules } from "./depth.ts";
import {
  beforeExtension,
  type Extension,
  extended,
  extensionPromise,
  type PositionRule,
  stretchedModel,
} from "./extend.ts";
import type { Content, DepthRule, Growth, LayerOrigin, OptionValues, Promised, WidthMethod } from "./growth.ts";
import { growthBy, weaker } from "./growth.ts";
import { type AxisMaps, axisSizes, type MapKind, mapKind, mapsBetween } from "./maps.ts";
import { methodOf, optionsOf } from "./methods.ts";
import { type MomentMode, momentMode } from "./moments.ts";
import { constant, type Recipe } from "./recipe.ts";
import { corner, fresh } from "./width.ts";

/** What a user asks for, names not yet looked up. Programs may give a method or rule of their own instead of a name. */
export interface GrowthChoices {
  readonly method: string | WidthMethod;
  readonly options?: OptionValues;
  /** How new units find the ones they are made from; default cyclic. */
  readonly map?: string;
  /** Default stack. */
  readonly depth?: string | DepthRule;
  /** Default grow. */
  readonly moments?: string;
  /** Default 0. */
  readonly seed?: number;
  /** Maps to use instead of drawing them, as growth.json holds them. */
  readonly maps?: AxisMaps;
  /** How ids and positions are made that the source has not; absent: there are none. */
  readonly extension?: Extension;
}

/** What one target parameter becomes. */
export interface PlannedParameter {
  readonly parameter: Parameter;
  readonly shape: readonly number[];
  readonly weight: Recipe;
  /** Whether it is drawn as for a new model: of a head more, or of a kind that the block it is made from has not. */
  readonly added: boolean;
  /** How its moments grow; undefined where they start at 0. Its steps are those of `stepsOf`; without one, 0. */
  readonly moments: { readonly m: Recipe; readonly v: Recipe; readonly stepsOf: string | undefined } | undefined;
}

export interface GrowthPlan {
  readonly growth: Growth;
  readonly method: WidthMethod;
  readonly depth: DepthRule;
  readonly mapKind: MapKind;
  readonly momentMode: MomentMode;
  /** For each target layer the source layer it is made from. */
  readonly layers: readonly LayerOrigin[];
  readonly promise: Promised;
  readonly parameters: readonly PlannedParameter[];
  /** What is to be said of the target beside the promise, in sentences. */
  readonly notes: readonly string[];
  /** How ids and positions are made that the source has not. */
  readonly extension?: Extension;
  /** Of a learned method, once it has been learned: from what, and what it cost. */
  readonly learned?: Json;
}

/**
 * @param asked the target, whose LayerNorm eps may be the source's where the method needs another: the plan's has that
 * @throws UserError for a target that the source can't grow to, or a choice that does not exist
 */
export function planGrowth(source: Model, asked: Model, choices: GrowthChoices): GrowthPlan {
  const method = typeof choices.method === "string" ? methodOf(choices.method) : choices.method;
  const options = optionsOf(method, choices.options ?? {});
  const kind = mapKind(choices.map ?? "cyclic");
  const rule = choices.depth ?? "stack";
  const depth = typeof rule === "string" ? depthRuleOf(rule) : rule;
  const mode = momentMode(choices.moments ?? "grow");
  const seed = choices.seed ?? 0;
  const eps = method.eps?.(source, asked) ?? source.settings.eps;
  const { extension } = choices;
  checkTarget(source, asked, eps, extension);
  const { layers: from } = source.dimensions;
  const { layers: to } = asked.dimensions;
  const deeper = to > from;
  if (from === 0 && deeper && depth.anew !== true) {
    const known = depthRules.flatMap(({ name, anew }) => (anew ? [name] : []));
    const what = `the source has no layer that \`${depth.name}\` could copy`;
    throw new UserError(what, "--depth", `take ${known.join(" or ")}: new layers are then drawn`);
  }
  const layers = deeper
    ? depth.layers(from, to)
    : Array.from({ length: to }, (_, layer): LayerOrigin => ({ from: layer, fresh: false }));
  const sized = asked.settings.eps === eps ? asked : resizeModel(asked, { eps }, "target config");
  const target = withKindsOf(source, sized, layers);
  const drawn = mapsBetween(source, target, kind, seed, choices.maps);
  const growth = growthBy(method, { source, target, drawn, options, seed });
  const width = method.promise(growth);
  const grown = deeper ? weaker(width, depth.promise(growth)) : width;
  const more = extension && extensionPromise(growth, extension);
  const promise = more === undefined ? grown : weaker(grown, more);

  const before = (parameter: Parameter) => (extension === undefined ? parameter : beforeExtension(parameter, source));
  const table = new Map(
    target.parameters.map((parameter) => [`${parameter.layer} ${parameter.kind}`, before(parameter)]),
  );
  const widened = (content: Content) => (kindOf: string, layer: number | null) => {
    const parameter = table.get(`${layer} ${kindOf}`);
    if (parameter === undefined) throw new Error(`the target has no ${kindOf} in layer ${layer}`);
    return method.recipe(parameter, growth, content);
  };
  const adjusted = (parameter: Parameter, content: Content): Recipe | undefined =>
    deeper && parameter.layer !== null ? depth.adjust?.(parameter, content, growth, widened(content)) : undefined;
  const recipe = (whole: Parameter, content: Content): Recipe => {
    const made = recipeBefore(before(whole), content);
    return extension === undefined ? made : extended(growth, whole, content, made, extension);
  };
  const recipeBefore = (parameter: Parameter, content: Content): Recipe => {
    const origin = parameter.layer === null ? undefined : layers[parameter.layer];
    const made = adjusted(parameter, content) ?? widened(content)(parameter.kind, origin?.from ?? null);
    if (content === "weight" || mode !== "old-only") return made;
    const none = constant(shapeOf(parameter), 0);
    return origin?.fresh === true ? none : corner(growth, parameter, made, none);
  };
  const parameters = target.parameters.map((parameter): PlannedParameter => {
    const from = parameter.layer === null ? null : layers[parameter.layer].from;
    const added = isAdded(source, parameter) || !table.has(`${from} ${parameter.kind}`);
    const drawn = from === -1 ? adjusted(parameter, "weight") : undefined;
    const weight = added ? (drawn ?? fresh(growth, parameter)) : recipe(parameter, "weight");
    const shape = shapeOf(parameter);
    if (weight.shape.join() !== shape.join()) {
      throw new Error(`${method.name} makes ${parameter.name} [${weight.shape}] instead of [${shape}]`);
    }
    if (mode === "drop" || added) return { parameter, shape, weight, added, moments: undefined };
    const m = recipe(parameter, "m");
    if (m.reads.length === 0) return { parameter, shape, weight, added, moments: undefined };
    const stepsOf = m.partly === true ? undefined : m.reads[0];
    return { parameter, shape, weight, added, moments: { m, v: recipe(parameter, "v"), stepsOf } };
  });
  const remark = target.architecture.remark?.(target);
  const notes = [...headWords(source, target), ...(remark === undefined ? [] : [remark])];
  return { growth, method, depth, mapKind: kind, momentMode: mode, layers, promise, parameters, notes, extension };
}

/** Whether numbers of a growth are rounded anew where they are stored in a format: some are other than the source's by a power of two. */
export function roundedIn({ parameters }: Pick<GrowthPlan, "parameters">, dtype: FloatDType): boolean {
  return dtype !== "F32" && parameters.some(({ weight }) => weight.lossless !== true);
}

/** Each block takes the kind of the one it is made from along: at another's place it would compute something else. */
function withKindsOf(source: Model, target: Model, layers: readonly LayerOrigin[]): Model {
  const { architecture } = target;
  const kinds = layers.map(({ from }) => source.kinds?.[from] ?? "");
  if (!source.kinds?.length || kinds.join() === target.kinds?.join()) return target;
  if (architecture.withKinds === undefined) {
    throw new Error(`${architecture.type} can't say what kind its blocks are of`);
  }
  return architecture.model(architecture.withKinds(target.config, kinds), "target config", target.outputs);
}

/** @throws UserError for a plan whose weights are still to be learned */
export function checkLearned(plan: Pick<GrowthPlan, "method" | "learned">): void {
  if (plan.method.learned !== true || plan.learned !== undefined) return;
  const wayOut = `use \`bert2bert grow … --method ${plan.method.name} --data FOLDER\`, and start from what it writes`;
  throw new UserError(`the weights of method ${plan.method.name} are learned on data`, "grow", wayOut);
}

/**
 * Sizes asked for; what is not said follows: the rest of the width from `hidden`, heads of keys and values from the
 * source's groups, or else its number of them, all else from the source. More ids or positions need an extension
 * (GrowthChoices).
 */
export type TargetSizes = Omit<Changes, "headWidth" | "eps"> & {
  /** What rotary positions become; default extend. */
  readonly positionsBy?: PositionRule;
};

/**
 * The model of a size, otherwise like the source. @param outputs which it has; default: the source's
 * @throws UserError if the sizes do not go together
 */
export function resizedModel(source: Model, sizes: TargetSizes, outputs: Outputs = source.outputs): Model {
  const { dimensions: from, architecture } = source;
  const { headWidth } = from;
  if (outputs.lm === source.outputs.lm && Object.values(sizes).every((size) => size === undefined)) {
    const wayOut = "give --to CONFIG.json, or some of --hidden --heads --kv-heads --ffn --layers --vocab --positions";
    throw new UserError("no target size is given", "grow", wayOut);
  }
  const ofHeads = sizes.heads === undefined || architecture.ownHeadWidth ? from.hidden : sizes.heads * headWidth;
  const hidden = sizes.hidden ?? ofHeads;
  const together = from.heads * headWidth === from.hidden;
  if (together && hidden % headWidth !== 0) {
    const below = Math.floor(hidden / headWidth) * headWidth;
    const near = below < from.hidden ? [] : [below];
    const what = `${hidden} is not a whole number of heads of ${headWidth}, the source's`;
    throw new UserError(what, "--hidden", `heads are grown whole: take ${[...near, below + headWidth].join(" or ")}`);
  }
  const heads = sizes.heads ?? (together ? hidden / headWidth : from.heads);
  if (!architecture.ownHeadWidth && heads * headWidth !== hidden) throw wholeHeads(heads, hidden, from, "--heads");
  const fits = (count: number) => !architecture.wholeHeads || hidden % count === 0;
  if (!fits(heads)) {
    const what = `${heads} heads do not divide a hidden size of ${hidden}, as transformers asks of a ${architecture.type}`;
    throw new UserError(what, "--heads", `take ${nextOf(heads, 1, fits)}, or another hidden size`);
  }
  const kvHeads = sizes.kvHeads ?? kvHeadsFor(heads, from, fits);
  const ffn = sizes.ffn ?? Math.round((from.ffn * hidden) / from.hidden);
  const layers = sizes.layers ?? from.layers;
  const { vocab, positions } = sizes;
  const to = { hidden, heads, kvHeads, headWidth, ffn, layers, vocab, positions };
  const model = resizeModel({ ...source, outputs }, to, "target config");
  if (positions === undefined || sizes.positionsBy === undefined || sizes.positionsBy === "extend") return model;
  return stretchedModel(model, sizes.positionsBy, positions / from.positions);
}

/** The next multiple of a step that fits; where none does, the next. */
function nextOf(count: number, step: number, fits: (count: number) => boolean): number {
  const next = Array.from({ length: 8 * count }, (_, i) => (Math.ceil(count / step) + i) * step);
  return next.find(fits) ?? next[0];
}

function kvHeadsFor(heads: number, from: Dimensions, fits: (count: number) => boolean): number {
  const group = from.heads / from.kvHeads;
  if (heads % group === 0) return heads / group;
  if (heads % from.kvHeads === 0) return from.kvHeads;
  const what = `${heads} heads are neither groups of ${group}, the source's, nor groups of its ${from.kvHeads} key-value heads`;
  const step = Math.min(group, from.kvHeads);
  const wayOut = `take ${nextOf(heads, step, fits)}, or say how many key-value heads there are (--kv-heads)`;
  throw new UserError(what, "--heads", wayOut);
}

/** The model that a config of the target describes. @param outputs default: the source's @throws UserError if it is of another architecture */
export function targetModel(source: Model, config: Json, where: string, outputs: Outputs = source.outputs): Model {
  if (config.model_type !== source.architecture.type) {
    throw new UserError(
      `\`model_type\` is ${JSON.stringify(config.model_type ?? null)}, the source is ${source.architecture.type}`,
      where,
      "a model grows into a larger one of its own kind: give a config of that kind",
    );
  }
  return source.architecture.model(config, where, outputs);
}

function wholeHeads(heads: number, hidden: number, from: Dimensions, where: string): UserError {
  return new UserError(
    `${heads} heads of a hidden size of ${hidden} are ${Number((hidden / heads).toFixed(2))} wide, the source's are ${from.headWidth}`,
    where,
    `heads are grown whole: a hidden size of ${hidden} has ${hidden / from.headWidth} of them`,
  );
}

/** @param eps that the method needs @throws UserError if the target is smaller, cuts heads, or is another network */
function checkTarget(source: Model, target: Model, eps: number, extension: Extension | undefined): void {
  const from = source.dimensions;
  const to = target.dimensions;
  const where = "target";
  const sizes = axisSizes(target.parameters);
  const grown = [...axisSizes(source.parameters)].map(
    ([axis, size]) => [AXES[axis].said ?? AXES[axis].name, size, sizes.get(axis)] as const,
  );
  const { said: groups } = AXES.group;
  for (const [name, is, would] of [...grown, ["layers", from.layers, to.layers] as const]) {
    if (would === undefined || would >= is) continue;
    throw new UserError(
      `${name} would shrink from ${is} to ${would}`,
      where,
      name === groups
        ? `${to.kvHeads} key-value heads need at least ${to.kvHeads * is} heads: models only grow`
        : `give at least the source's ${is}: models only grow`,
    );
  }
  if (to.headWidth !== from.headWidth) throw wholeHeads(to.heads, to.hidden, from, where);
  const needed = target.settings.eps === eps;
  const more = (is: number, would: number) => (extension === undefined ? is : Math.max(is, would));
  const differences: [string, unknown, unknown][] = [
    ["vocabulary", more(from.vocab, to.vocab), to.vocab],
    ["number of positions", more(from.positions, to.positions), to.positions],
    ["number of token types", from.types, to.types],
    [`${normName(source.parameters)} eps`, needed ? eps : source.settings.eps, target.settings.eps],
    ["activation", source.settings.activation, target.settings.activation],
    ["head's activation", source.settings.transform, target.settings.transform],
    ["language-model head", source.outputs.lm === "none" ? target.outputs.lm : source.outputs.lm, target.outputs.lm],
    ...oddKinds(source, target),
    ...(extension === undefined || extension.positions === "extend" ? attentionForms(source, target) : []),
    ["attention scale", source.settings.attentionScale, target.settings.attentionScale],
    ["padding id", paddingRow(source), paddingRow(target)],
  ];
  for (const [name, is, would] of differences) {
    if (is === would) continue;
    const what = `the target's ${name} is ${would ?? "none"}, the source's ${is ?? "none"}`;
    throw new UserError(what, where, "make the target's config agree with the source's in all but the sizes");
  }
}

/**
 * The kinds of parameters that one of two models has alone, those of outputs left out: one may have a head more; and those
 * of blocks where the source has none.
 */
function oddKinds(source: Model, target: Model): [string, unknown, unknown][] {
  const compared = ({ output, layer }: Parameter) =>
    output === undefined && (layer === null || source.dimensions.layers > 0);
  const [from, to] = [source, target].map(
    ({ parameters }) => new Set(parameters.filter(compared).map(({ kind }) => kind)),
  );
  const odd = [...from, ...to].filter((kind) => !from.has(kind) || !to.has(kind));
  return odd.map((kind) => [kind, from.has(kind) ? "there" : "none", to.has(kind) ? "there" : "none"]);
}

/** How blocks attend: by each kind of them, and, where as many blocks stay, of which kind each is. */
function attentionForms(source: Model, target: Model): [string, unknown, unknown][] {
  const deeper = target.dimensions.layers > source.dimensions.layers;
  // Those of a deeper target are still to be made from the source's, where it has some.
  const kinds = ({ kinds }: Model) => (deeper ? kinds && "there" : kinds?.join(", "));
  const lowest = (rope: Rope | undefined) => rope && Math.min(...rope.frequencies);
  const forms = [...new Set(source.kinds ?? [undefined])].flatMap((kind): [string, unknown, unknown][] => {
    const of = kind === undefined ? "" : ` of ${kind}`;
    const [is, would] = [source.network.attends(kind), target.network.attends(kind)];
    return [
      [`attention window${of}`, is.window, would.window],
      [`lowest rotary frequency${of}`, lowest(is.rope), lowest(would.rope)],
      [`list of rotary frequencies${of}`, is.rope?.frequencies.join(), would.rope?.frequencies.join()],
      [`rotary scale${of}`, is.rope?.scale, would.rope?.scale],
    ];
  });
  return [["blocks' kinds", kinds(source), kinds(target)], ...forms];
}

/** The row of padding, which positions may be counted from. */
function paddingRow(model: Model): number | undefined {
  for (const { init } of model.parameters)
    if (init.kind === "normal" && init.padding !== undefined) return init.padding.row;
  return undefined;
}
