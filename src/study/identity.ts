/**
 * What a cell is known by: a hash of everything that determines its result. Paths, threads and how often something is
 * saved are not part of it; the versions of the formats are.
 */
import { createHash } from "node:crypto";
import type { Json, JsonValue } from "../util/json.ts";
import { isJsonObject } from "../util/json.ts";

/** Raised when the same settings no longer mean the same computation. */
export const FORMAT = 1;

/** Plain data as JSON: what is undefined is left out. */
export function asJson(value: object): Json {
  const json: Json = JSON.parse(JSON.stringify(value));
  return json;
}

/** JSON with every object's keys in order: the same text for the same content. */
export function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => canonical(item)).join(",")}]`;
  if (isJsonObject(value)) {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** 16 hexadecimal digits of the content's SHA-256. */
export function keyOf(spec: Json): string {
  return createHash("sha256")
    .update(canonical({ format: FORMAT, ...spec }))
    .digest("hex")
    .slice(0, 16);
}
