/**
 * Settings files: YAML checked against a schema, with messages that a person can act on.
 *
 * A SettingsFile is a parsed YAML document that still knows where each key stands, with `--set key.path=value` applied
 * on top. `checked` validates it by a zod schema; what does not fit is a UserError that names the key, the line (or the
 * `--set`), and for an unknown key the nearest known one. Only commands that read such a file load this module.
 */
import { readFileSync, statSync } from "node:fs";
import { Document, isCollection, isMap, isScalar, LineCounter, parse, parseDocument, visit } from "yaml";
import { z } from "zod";
import { suggestion, UserError } from "./errors.ts";
import { decodeUtf8, printable } from "./json.ts";
import { systemError } from "./system.ts";

type Path = readonly (string | number)[];

/** Bytes of the largest file that is taken for one of settings. */
const LARGEST = 2 ** 20;

export class SettingsFile {
  readonly #path: string;
  readonly #document: Document;
  readonly #lines = new LineCounter();
  readonly #set: string[] = [];

  /**
   * @param source a file's path, or the settings themselves: messages then name the key alone
   * @param sets `key.path=value`, the value read as YAML
   * @throws UserError if the file is missing or is not YAML
   */
  constructor(source: string | object, sets: readonly string[] = []) {
    const path = typeof source === "string" ? source : "the settings given";
    this.#path = path;
    const options = { lineCounter: this.#lines, logLevel: "error" } as const;
    const given = typeof source === "string" ? read(source) : source;
    try {
      this.#document = typeof given === "string" ? parseDocument(given, options) : new Document(given);
    } catch (cause) {
      // Only what no person writes gets here: brackets nested by the thousand.
      throw new UserError(`is not YAML that can be read (${reason(cause)})`, path, "mend it", { cause });
    }
    const bad = this.#document.errors[0];
    if (bad !== undefined) {
      const line = this.#lines.linePos(bad.pos[0]).line;
      const what = `is not YAML: ${printable(bad.message.split("\n")[0].replace(/:$/, ""))}`;
      throw new UserError(what, `${path}:${line}`, "mend that line");
    }
    visit(this.#document, {
      Pair: (_, { key }) => {
        if (!isCollection(key)) return;
        const line = this.#lines.linePos(rangeOf(key) ?? 0).line;
        throw new UserError("a key that is a list or a map", `${path}:${line}`, "mend that line");
      },
    });
    if (!isMap(this.#document.contents)) {
      throw new UserError("holds no keys", path, "write it as `key: value` lines");
    }
    for (const set of sets) this.#apply(set);
  }

  #apply(set: string): void {
    const split = set.indexOf("=");
    if (split < 1)
      throw new UserError("is not `key.path=value`", `--set ${set}`, "write for example --set optimizer.lr=2e-4");
    const keys = set.slice(0, split).split(".");
    let value: unknown;
    try {
      value = parse(set.slice(split + 1), { logLevel: "error" });
    } catch (cause) {
      throw new UserError("has a value that is not YAML", `--set ${set}`, "quote it, or mend it", { cause });
    }
    // A scalar that stands where a map is now needed gives way, as `plan: full` does to `--set plan.two-stage.block=2`.
    for (let depth = 1; depth < keys.length; depth++) {
      const holder = this.#document.getIn(keys.slice(0, depth), true);
      if (holder !== undefined && isScalar(holder)) this.#document.deleteIn(keys.slice(0, depth));
    }
    this.#document.setIn(keys, this.#document.createNode(value));
    this.#set.push(keys.join("."));
  }

  /** Where a key stands: `file:line`, or the `--set` that gave it. */
  where(path: Path): string {
    const dotted = path.join(".");
    for (const set of this.#set) if (dotted === set || dotted.startsWith(`${set}.`)) return `--set ${set}`;
    for (let depth = path.length; depth > 0; depth--) {
      const holder = depth === 1 ? this.#document.contents : this.#document.getIn(path.slice(0, depth - 1), true);
      const key = path[depth - 1];
      const pair = isMap(holder)
        ? holder.items.find((item) => (isScalar(item.key) ? String(item.key.value) : String(item.key)) === String(key))
        : undefined;
      const node = pair?.key ?? this.#document.getIn(path.slice(0, depth), true);
      const range = rangeOf(node);
      if (range !== undefined) return `${this.#path}:${this.#lines.linePos(range).line}`;
    }
    return this.#path;
  }

  /** The file as the schema gives it back, defaults filled in. @throws UserError for the first thing that does not fit */
  checked<T>(schema: z.ZodType<T>): T {
    let value: unknown;
    try {
      value = this.#document.toJS();
    } catch (cause) {
      // An alias without its anchor, or aliases of aliases that would fill the memory.
      throw new UserError(`is not YAML that can be read (${reason(cause)})`, this.#path, "mend it", { cause });
    }
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    const issues = result.error.issues;
    const unknown = issues.find((issue) => issue.code === "unrecognized_keys");
    throw this.#message(unknown ?? issues[0], schema, value);
  }

  /** A UserError at a key. */
  error(path: Path, what: string, wayOut: string): UserError {
    return new UserError(what, this.where(path), wayOut);
  }

  #message(issue: z.core.$ZodIssue, schema: z.ZodType, value: unknown): UserError {
    const path = issue.path.map((key) => (typeof key === "symbol" ? String(key) : key));
    const name = path.length === 0 ? "the file" : `\`${path.join(".")}\``;
    const given = at(value, path);
    const example = schemaAt(schema, path)?.meta()?.examples;
    const keys = keysAt(schema, path);
    const error = (what: string, wayOut: string) => this.error(path, `${name} ${what}`, wayOut);
    const asExample = (words: string) =>
      Array.isArray(example)
        ? `write \`${listed(example[0])}\``
        : keys.length > 0
          ? `give a map, \`{key: value}\`, of ${keys.join(", ")}`
          : words;
    const missing = given === undefined || given === null;
    switch (issue.code) {
      case "unrecognized_keys": {
        const key = issue.keys[0];
        const what = `\`${printable([...path, key].join("."))}\` is not a key`;
        return this.error([...path, key], what, suggestion(key, keys));
      }
      case "invalid_type": {
        const wanted = article(issue.expected);
        return error(missing ? "is missing" : `is ${shown(given)}, not ${wanted}`, asExample(`give ${wanted}`));
      }
      case "invalid_value": {
        const known = issue.values.map(String);
        if (missing) return error("is missing", `give one of ${known.join(", ")}`);
        return error(`can't be ${shown(given)}`, suggestion(String(given), known));
      }
      case "too_small":
      case "too_big": {
        const small = issue.code === "too_small";
        const [beyond, reached] = small ? ["more than", "at least"] : ["less than", "at most"];
        const bound = small ? issue.minimum : issue.maximum;
        return error(`is ${shown(given)}`, asExample(`give ${issue.inclusive === false ? beyond : reached} ${bound}`));
      }
      case "custom": {
        const hint = issue.params?.wayOut;
        return this.error(path, issue.message, typeof hint === "string" ? hint : "mend it");
      }
      default:
        return error(`is ${shown(given)}: ${issue.message}`, "mend it");
    }
  }
}

/** A whole number that may be written with a unit: 4000000, 4M, 1.5k, 2B. */
export function countOf(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value > 0 ? value : undefined;
  if (typeof value !== "string") return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([kKmMbB])?$/.exec(value.trim());
  if (match === null) return undefined;
  const unit = { k: 1e3, m: 1e6, b: 1e9 }[(match[2] ?? "").toLowerCase()] ?? 1;
  const count = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(count) && count > 0 ? count : undefined;
}

/** Schema of such a number. */
export const count = z.unknown().transform((value, context): number => {
  const read = countOf(value);
  if (read !== undefined) return read;
  context.addIssue({
    code: "custom",
    message: `${shown(value)} is not a whole number above 0`,
    params: { wayOut: "write it as 4000000, or with a unit k, M or B: 4M" },
  });
  return z.NEVER;
});

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node)) return undefined;
  const range = node.range;
  return Array.isArray(range) && typeof range[0] === "number" ? range[0] : undefined;
}

function at(value: unknown, path: Path): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== "object" || here === null) return undefined;
    here = Object.entries(here).find(([name]) => name === String(key))?.[1];
  }
  return here;
}

function shown(value: unknown): string {
  return printable(typeof value === "string" ? `"${value}"` : String(JSON.stringify(value) ?? value));
}

/** As one writes it. */
function listed(value: unknown): string {
  return Array.isArray(value) ? `[${value.map(listed).join(", ")}]` : shown(value);
}

function reason(error: unknown): string {
  return printable(error instanceof Error ? error.message.split("\n")[0] : String(error));
}

function read(path: string): string {
  try {
    // Looked at before it is opened: a pipe would wait for its writer, and a huge file fill the memory.
    const info = statSync(path);
    if (info.isDirectory()) throw new UserError("it is a folder, not a YAML file", path, "name the file in it");
    if (!info.isFile()) throw new UserError("not a regular file", path, "name a YAML file");
    if (info.size > LARGEST) {
      throw new UserError(`${info.size} bytes are no file of settings`, path, "name a YAML file");
    }
    return decodeUtf8(readFileSync(path), path);
  } catch (error) {
    throw systemError(error, path);
  }
}

function article(type: string): string {
  if (type === "int") return "a whole number";
  if (type === "object" || type === "record") return "a map of keys";
  if (type === "array" || type === "tuple") return "a list";
  return `a ${type}`;
}

/** The keys a schema knows at a path; none where it is not a map. */
export function keysAt(schema: z.core.$ZodType, path: Path): readonly string[] {
  const inner = schemaAt(schema, path);
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : [];
}

function schemaAt(schema: z.core.$ZodType, path: Path): z.ZodType | undefined {
  const inner = unwrapped(schema);
  if (path.length === 0) return inner instanceof z.ZodType ? inner : undefined;
  const [key, ...rest] = path;
  if (inner instanceof z.ZodArray) return schemaAt(inner.element, rest);
  const next: unknown = inner instanceof z.ZodObject ? inner.shape[String(key)] : undefined;
  return next instanceof z.ZodType ? schemaAt(next, rest) : undefined;
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPipe && schema.in instanceof z.ZodTransform) return schema.out;
  return schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault || schema instanceof z.ZodOptional
    ? unwrapped(schema.unwrap())
    : schema;
}
