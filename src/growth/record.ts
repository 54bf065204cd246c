/**
 * growth.json: what was grown from what and how, enough to repeat it bit for bit and to hold the result to its promise.
 */
import { join } from "node:path";
import { type FloatDType, floatDTypes } from "../checkpoint/dtype.ts";
import { growthFile, presentOf } from "../checkpoint/folder.ts";
import { AXES, axes, type Sizes } from "../model/table.ts";
import { UserError } from "../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, readJsonObject } from "../util/json.ts";
import { packageVersion } from "../util/paths.ts";
import type { OptionValues, Promised } from "./growth.ts";
import { type AxisMaps, mapKind, unitMap } from "./maps.ts";
import { type GrowthChoices, type GrowthPlan, roundedIn } from "./plan.ts";

/** Raised when what a record says can't be read by versions before. */
const FORMAT = 2;

/** In format 1 a map stood there for axes that the model has not, too. */
const READ: readonly JsonValue[] = [1, FORMAT];

export interface GrowthRecord {
  /** The source's files and their sha256 in hexadecimal. */
  readonly source: Readonly<Record<string, string>>;
  readonly sourceSizes: Sizes;
  /** The target's config before its dtype was set. */
  readonly targetConfig: Json;
  /** The choices that lead to the same bytes, the maps as they were drawn. */
  readonly choices: GrowthChoices & { readonly maps: AxisMaps };
  /** The format the result's weights are stored in. */
  readonly dtype: FloatDType;
  readonly promise: Promised;
  /** Whether a language-model head was drawn that the source lacks. */
  readonly addHead: boolean;
  /** The source's weights that are NaN or infinite and were kept so. */
  readonly notFinite: number;
}

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
    ...(notFinite === 0 ? {} : { not_finite: notFinite }),
    ...(plan.learned === undefined ? {} : { learned: plan.learned }),
  };
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

/** @param where the file, for messages @throws UserError if it can't be understood */
export function parseRecord(json: Json, where: string): GrowthRecord {
  const read = new Reader(json, where);
  if (!READ.includes(json.format)) {
    const wayOut = "use the version of bert2bert that wrote it (`versions`)";
    throw new UserError(
      `its format is ${JSON.stringify(json.format ?? null)}, this version reads ${READ.join(" and ")}`,
      where,
      wayOut,
    );
  }
  const [source, target, method, depth] = ["source", "target", "method", "depth"].map((key) => read.inner(key));
  const dtype = floatDTypes.find((known) => known === target.text("dtype"));
  if (dtype === undefined) throw read.refusal("target.dtype");
  const maps = read.inner("maps");
  const map = (name: string) => {
    const inner = maps.inner(name);
    try {
      return unitMap(inner.number("source"), Uint32Array.from(inner.numbers("of")));
    } catch (error) {
      throw error instanceof RangeError ? maps.refusal(name) : error;
    }
  };
  return {
    source: source.inner("files").texts(),
    sourceSizes: sizesOf(source.inner("dimensions")),
    targetConfig: target.inner("config").json,
    choices: {
      method: method.text("name"),
      options: method.inner("options").options(),
      map: mapKind(read.text("map")),
      depth: depth.text("rule"),
      moments: read.text("moments"),
      seed: read.number("seed"),
      maps: new Map(axes.filter((axis) => AXES[axis].name in maps.json).map((axis) => [axis, map(AXES[axis].name)])),
    },
    dtype,
    promise: promiseOf(read.inner("promise")),
    addHead: json.addHead === true,
    notFinite: json.not_finite === undefined ? 0 : read.number("not_finite"),
  };
}

function sizesOf(read: Reader): Sizes {
  const [layers, hidden, heads, headWidth, ffn] = ["layers", "hidden", "heads", "headWidth", "ffn"].map((key) => {
    return read.number(key);
  });
  return { layers, hidden, heads, kvHeads: "kvHeads" in read.json ? read.number("kvHeads") : heads, headWidth, ffn };
}

function promiseOf(read: Reader): Promised {
  const kind = read.text("kind");
  const reason = read.text("reason");
  if (kind === "near") return { kind, within: read.number("within"), reason };
  if (kind === "exact" || kind === "none") return { kind, reason };
  throw read.refusal("kind");
}

/** A JSON object, each value checked as it is read. */
class Reader {
  readonly json: Json;
  readonly #where: string;
  readonly #path: string;

  constructor(json: Json, where: string, path = "") {
    this.json = json;
    this.#where = where;
    this.#path = path;
  }

  refusal(key: string): UserError {
    return new UserError(`\`${this.#path}${key}\` is missing or not as expected`, this.#where, "grow the model again");
  }

  inner(key: string): Reader {
    const value = this.json[key];
    if (!isJsonObject(value)) throw this.refusal(key);
    return new Reader(value, this.#where, `${this.#path}${key}.`);
  }

  text(key: string): string {
    const value = this.json[key];
    if (typeof value !== "string") throw this.refusal(key);
    return value;
  }

  number(key: string): number {
    const value = this.json[key];
    if (typeof value !== "number") throw this.refusal(key);
    return value;
  }

  numbers(key: string): readonly number[] {
    const value: JsonValue | undefined = this.json[key];
    if (!Array.isArray(value)) throw this.refusal(key);
    return value.map((item: JsonValue) => {
      if (typeof item !== "number") throw this.refusal(key);
      return item;
    });
  }

  texts(): Readonly<Record<string, string>> {
    return Object.fromEntries(Object.keys(this.json).map((key) => [key, this.text(key)]));
  }

  options(): OptionValues {
    return Object.fromEntries(
      Object.entries(this.json).map(([key, value]) => {
        if (typeof value !== "string" && typeof value !== "number") throw this.refusal(key);
        return [key, value];
      }),
    );
  }
}
