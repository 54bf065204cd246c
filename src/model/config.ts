/**
 * Reading a config.json: every value checked where it is read, every complaint naming its key.
 *
 * What a config may leave out takes the default of transformers' configuration class. What would change the network in
 * a way no table here describes (decoder mode, cross-attention, relative positions, …) is refused by name.
 */
import { UserError } from "../util/errors.ts";
import { type Json, type JsonValue, printable } from "../util/json.ts";
import type { Dimensions } from "./table.ts";

/** What stands between a block's FFN layers: GELU with erf, GELU by tanh, ReLU, or SiLU. */
export type Activation = "gelu-erf" | "gelu-tanh" | "relu" | "silu";

/** Every name that transformers has (ACT2FN) for each of them. */
const ACTIVATIONS: readonly (readonly [Activation, readonly string[]])[] = [
  ["gelu-erf", ["gelu", "gelu_python"]],
  ["gelu-tanh", ["gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"]],
  ["relu", ["relu"]],
  ["silu", ["silu", "swish"]],
];

/** The most that a size may be: no tensor is longer in any library. */
const LARGEST = 2 ** 31 - 1;

/** A config with the defaults of its class filled in. */
export class ConfigReader {
  readonly #values: Json;
  readonly #where: string;

  /** @param where the file, for messages */
  constructor(values: Json, where: string) {
    this.#values = values;
    this.#where = where;
  }

  #refuse(key: string, what: string, wayOut: string): never {
    throw new UserError(`\`${key}\` ${what}`, this.#where, wayOut);
  }

  /** A whole number from `least` to `most`. */
  count(key: string, least = 1, most = LARGEST): number {
    const value = this.#values[key];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) {
      if (value <= most) return value;
      this.#refuse(key, `is ${value}`, `${most} is the most that is supported`);
    }
    this.#refuse(key, `is ${show(value)}, not a whole number of at least ${least}`, `set \`${key}\` to one`);
  }

  /** A number of blocks, 0 for none. A table of all parameters is made of it before any file is looked at, so it has a bound. */
  layers(key: string, least = 0): number {
    return this.count(key, least, 4096);
  }

  /** A whole number of at least 0, or null. */
  countOrNull(key: string): number | null {
    return this.#values[key] === null ? null : this.count(key, 0);
  }

  /** Refuses an index that does not lie below an extent. */
  below(key: string, index: number, extent: number, extentKey: string): void {
    if (index < extent) return;
    this.#refuse(key, `is too large for \`${extentKey}\` of ${extent}`, `raise \`${extentKey}\` or lower \`${key}\``);
  }

  /** A positive number. */
  positive(key: string): number {
    const value = this.#values[key];
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    this.#refuse(key, `is ${show(value)}, not a number above 0`, `set \`${key}\` to one`);
  }

  /** A dropout rate in [0, 1). */
  rate(key: string): number {
    const value = this.#values[key];
    if (typeof value === "number" && value >= 0 && value < 1) return value;
    this.#refuse(key, `is ${show(value)}, not a rate from 0 to below 1`, `set \`${key}\` to one, 0 for none`);
  }

  flag(key: string): boolean {
    const value = this.#values[key];
    if (typeof value === "boolean") return value;
    this.#refuse(key, `is ${show(value)}, not true or false`, `set \`${key}\` to one of them`);
  }

  /** Proposes no other name, however near: another function is another network. */
  activation(key: string): Activation {
    const value = this.#values[key];
    const found = ACTIVATIONS.find(([, names]) => typeof value === "string" && names.includes(value));
    if (found !== undefined) return found[0];
    const known = ACTIVATIONS.flatMap(([, names]) => names).join(", ");
    this.#refuse(key, `is ${show(value)}, an activation that is not supported`, `known are ${known}`);
  }

  /** Refuses any value but the given one; a key that is absent is fine. */
  only(key: string, allowed: JsonValue, meaning: string): void {
    const value = this.#values[key];
    if (value === undefined || value === null || value === allowed) return;
    this.#refuse(
      key,
      `is ${show(value)}: ${meaning} not supported`,
      `only ${show(allowed)} is; use another checkpoint`,
    );
  }

  /** Hidden size, and heads of it that each have keys and values of their own. */
  attention(hiddenKey: string, headsKey: string): Pick<Dimensions, "hidden" | "heads" | "kvHeads" | "headWidth"> {
    const hidden = this.count(hiddenKey);
    const heads = this.count(headsKey);
    if (hidden % heads !== 0) {
      this.#refuse(
        hiddenKey,
        `is ${hidden}, which ${heads} heads do not divide`,
        `make it a multiple of \`${headsKey}\``,
      );
    }
    return { hidden, heads, kvHeads: heads, headWidth: hidden / heads };
  }

  /** Attention whose heads may share keys and values, and be of a width of their own. @param own whether they may */
  groupedAttention(own: boolean): Pick<Dimensions, "hidden" | "heads" | "kvHeads" | "headWidth"> {
    const [kvKey, widthKey] = ["num_key_value_heads", "head_dim"];
    const given = this.#values[widthKey] ?? null;
    const plain =
      own && given !== null
        ? {
            hidden: this.count("hidden_size"),
            heads: this.count("num_attention_heads"),
            headWidth: this.count(widthKey),
          }
        : this.attention("hidden_size", "num_attention_heads");
    const { heads } = plain;
    const kvHeads = (this.#values[kvKey] ?? null) === null ? heads : this.count(kvKey);
    if (heads % kvHeads !== 0) {
      const wayOut = `make \`${kvKey}\` a divisor of \`num_attention_heads\``;
      this.#refuse(kvKey, `is ${kvHeads}, which does not divide ${heads} heads`, wayOut);
    }
    this.paired(given === null ? "hidden_size" : widthKey, plain.headWidth);
    return { ...plain, kvHeads };
  }

  /** Refuses heads of an odd width, which rotary positions can't pair. @param key that makes them so */
  paired(key: string, headWidth: number): void {
    if (headWidth % 2 === 0) return;
    this.#refuse(key, `makes heads ${headWidth} wide`, "rotary positions pair a head's units: make it even");
  }

  /** A word of a list for each block, or nothing where the key is absent. */
  words(key: string, known: readonly string[], layers: number): readonly string[] | undefined {
    const value = this.#values[key] ?? null;
    if (value === null) return undefined;
    if (!Array.isArray(value) || value.length !== layers) {
      this.#refuse(key, `is not a list of ${layers}`, "give one for each block");
    }
    const words = value.filter((word) => typeof word === "string");
    const other = value.find((word) => typeof word !== "string" || !known.includes(word));
    if (other !== undefined) this.#refuse(key, `has ${show(other)}`, `here it can have ${known.join(" and ")}`);
    return words;
  }

  /** The first class named in `architectures`, where there are no tensors to tell; undefined for none. @throws UserError if it is not known */
  className(known: readonly string[]): string | undefined {
    const value = this.#values.architectures;
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return undefined;
    const name = namedClass(this.#values);
    if (name !== undefined && known.includes(name)) return name;
    this.#refuse(
      "architectures",
      `names ${show(Array.isArray(value) ? value[0] : value)}, a class that is not supported`,
      `known are ${known.join(", ")}`,
    );
  }
}

/** The first class that a config's `architectures`, a list or a string, names; undefined for none. */
export function namedClass({ architectures }: Json): string | undefined {
  const name = Array.isArray(architectures) ? architectures[0] : architectures;
  return typeof name === "string" ? name : undefined;
}

function show(value: JsonValue | undefined): string {
  return value === undefined ? "missing" : printable(JSON.stringify(value));
}
