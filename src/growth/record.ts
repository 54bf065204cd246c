/**
 * growth.json: what was grown from what and how, enough to repeat it bit for bit and to hold the result to its promise.
 */
import { join } from "node:path";
import { z } from "zod";
import { type FloatDType, floatDTypes } from "../checkpoint/dtype.ts";
import { growthFile, presentOf } from "../checkpoint/folder.ts";
import { AXES, axes, type Sizes } from "../model/table.ts";
import { UserError } from "../util/errors.ts";
import { type Json, type JsonValue, readJsonObject } from "../util/json.ts";
import { packageVersion } from "../util/paths.ts";
import { type Extension, POSITION_RULES } from "./extend.ts";
import { type AxisMaps, mapKind, unitMap } from "./maps.ts";
import { type GrowthChoices, type GrowthPlan, roundedIn } from "./plan.ts";

/** Raised when what a record says can't be read by versions before. */
const FORMAT = 2;

/** In format 1 a map stood there for axes that the model has not, too. */
const READ: readonly JsonValue[] = [1, FORMAT];

export type GrowthRecord = ReturnType<typeof parseRecord>;

/**
 * @param source the source's files and their sha256 @param withMoments whether the optimizer's state was grown too
 * @param notFinite how many of the source's weights are not finite and kept
 */
export function recordOf(
  plan: GrowthPlan,
  source: Readonly<Record<string, string>>,
  dtype: FloatDType,
  withMoments: boolean,
  notFinite = 0,
): Json {
  const { growth } = plan;
  return {
    format: FORMAT,
    versions: { bert2bert: packageVersion(), node: process.version },
    source: { files: source, dimensions: { ...growth.source.dimensions } },
    target: { dimensions: { ...growth.target.dimensions }, dtype, config: growth.target.config },
    method: { name: plan.method.name, options: growth.options, paper: plan.method.paper.url },
    depth: { rule: plan.depth.name, layers: plan.layers.map((layer) => layer.from) },
    moments: withMoments ? plan.momentMode : "drop",
    seed: growth.seed,
    map: plan.mapKind,
    maps: Object.fromEntries(
      [...growth.drawn].map(([axis, map]) => [AXES[axis].name, { source: map.source, of: Array.from(map.of) }]),
    ),
    // In float32 a share of a third is rounded too, which no bar notices.
    promise: { ...plan.promise, ...(dtype === "F32" ? {} : { rounded: roundedIn(plan, dtype) }) },
    ...(growth.target.outputs.lm === growth.source.outputs.lm ? {} : { addHead: true }),
    ...(plan.extension === undefined ? {} : { extension: extensionJson(plan.extension) }),
    ...(notFinite === 0 ? {} : { not_finite: notFinite }),
    ...(plan.learned === undefined ? {} : { learned: plan.learned }),
  };
}

function extensionJson({ pieces, positions, tokenizer }: Extension): Json {
  const listed = Object.fromEntries([...pieces].map(([id, made]) => [String(id), [...made]]));
  return { positions, pieces: listed, ...(tokenizer === undefined ? {} : { tokenizer }) };
}

/** JSON with lists of numbers on one line each, so that maps stay readable. */
export function recordText(record: Json): string {
  const lines = JSON.stringify(record, null, 2);
  return `${lines.replace(/\[[\s\d,]+\]/g, (list) => list.replace(/\s+/g, "").replaceAll(",", ", "))}\n`;
}

/** A grown folder's record. @throws UserError if it has none, or one that can't be understood */
export async function readRecord(folder: string): Promise<GrowthRecord> {
  const path = join(folder, growthFile);
  if ((await presentOf(folder, [growthFile])).length === 0) {
    throw new UserError(`there is no ${growthFile}`, folder, "name a folder that `bert2bert grow` wrote");
  }
  return parseRecord(await readJsonObject(path), path);
}

const count = z.number();
const sizes = z
  .object({ layers: count, hidden: count, heads: count, kvHeads: count.optional(), headWidth: count, ffn: count })
  // Before heads could share keys and values there was no number of those that do.
  .transform((read): Sizes => ({ ...read, kvHeads: read.kvHeads ?? read.heads }));
const promise = z.discriminatedUnion("kind", [
  z.object({ kind: z.enum(["exact", "none"]), reason: z.string() }),
  z.object({ kind: z.literal("near"), within: z.number(), reason: z.string() }),
]);
const map = z.object({ source: count, of: z.array(count) }).transform(({ source, of }, context) => {
  try {
    return unitMap(source, Uint32Array.from(of));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    context.addIssue(error.message);
    return z.NEVER;
  }
});
const schema = z.object({
  source: z.object({ files: z.record(z.string(), z.string()), dimensions: sizes }),
  target: z.object({ dtype: z.enum(floatDTypes), config: z.record(z.string(), z.json()) }),
  method: z.object({ name: z.string(), options: z.record(z.string(), z.union([z.string(), count])) }),
  depth: z.object({ rule: z.string() }),
  moments: z.string(),
  seed: count,
  map: z.string(),
  maps: z.record(z.string(), map),
  promise,
  not_finite: count.default(0),
  extension: z
    .object({
      positions: z.enum(POSITION_RULES),
      pieces: z
        .record(z.string(), z.array(count))
        .transform((read) => new Map(Object.entries(read).map(([id, made]) => [Number(id), made]))),
      tokenizer: z.string().optional(),
    })
    .optional(),
});

/** @param where the file, for messages @throws UserError if it can't be understood */
export function parseRecord(json: Json, where: string) {
  if (!READ.includes(json.format)) {
    const what = `its format is ${JSON.stringify(json.format ?? null)}, this version reads ${READ.join(" and ")}`;
    throw new UserError(what, where, "use the version of bert2bert that wrote it (`versions`)");
  }
  const { success, data, error } = schema.safeParse(json);
  if (!success) {
    const path = error.issues[0].path.join(".");
    throw new UserError(`\`${path}\` is missing or not as expected`, where, "grow the model again");
  }
  const { source, target, method, depth, moments, seed, maps } = data;
  const axisMaps = axes.flatMap((axis) => {
    const { name } = AXES[axis];
    return Object.hasOwn(maps, name) ? [[axis, maps[name]] as const] : [];
  });
  /** The choices that lead to the same bytes, the maps as they were drawn. */
  const choices: GrowthChoices & { readonly maps: AxisMaps } = {
    method: method.name,
    options: method.options,
    map: mapKind(data.map),
    depth: depth.rule,
    moments,
    seed,
    maps: new Map(axisMaps),
    extension: data.extension,
  };
  return {
    /** The source's files and their sha256 in hexadecimal. */
    source: source.files,
    sourceSizes: source.dimensions,
    /** The target's config before its dtype was set. */
    targetConfig: target.config,
    choices,
    /** The format the result's weights are stored in. */
    dtype: target.dtype,
    promise: data.promise,
    /** Whether a language-model head was drawn that the source lacks. */
    addHead: json.addHead === true,
    /** The source's weights that are NaN or infinite and were kept so. */
    notFinite: data.not_finite,
  };
}
