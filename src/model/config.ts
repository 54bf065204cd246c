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

/** What transformers' configs call what most of them have. */
export const usualKeys = {
  layers: "num_hidden_layers",
  hidden: "hidden_size",
  heads: "num_attention_heads",
  kvHeads: "num_key_value_heads",
  headWidth: "head_dim",
  ffn: "intermediate_size",
  vocab: "vocab_size",
  positions: "max_position_embeddings",
  types: "type_vocab_size",
  eps: "layer_norm_eps",
  activation: "hidden_act",
  dropout: "hidden_dropout_prob",
  embeddingDropout: "hidden_dropout_prob",
  attentionDropout: "attention_probs_dropout_prob",
  innerDropout: "mlp_dropout",
};

/** What the config of an architecture calls them. One that is not among its defaults it has not. */
export type Keys = Readonly<Record<keyof typeof usualKeys, string>>;

/** The most that a size may be: no tensor is longer in any library. */
const LARGEST = 2 ** 31 - 1;

/** A config with the defaults of its class filled in. */
export class ConfigReader {
  readonly #values: Json;
  readonly #where: string;
  readonly #known: Json;

  /** @param where the file, for messages @param known those of `Keys` that it has; default: those that are there */
  constructor(values: Json, where: string, known = values) {
    this.#values = values;
    this.#where = where;
    this.#known = known;
  }

  /** Whether a config of the architecture may have a key. */
  has(key: string): boolean {
    return Object.hasOwn(this.#known, key);
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

  /** A dropout rate in [0, 1); 0 where the config has no key for it. */
  rate(key: string): number {
    if (!this.has(key)) return 0;
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

  /**
   * The sizes of a network. @param keys what its config calls them @param uncounted rows of the position table before the
   * first @param wholeHeads whether heads must divide the hidden size even where their width is the config's to say
   */
  dimensions(keys: Keys, uncounted: number, wholeHeads = false): Dimensions {
    const hidden = this.count(keys.hidden);
    const heads = this.count(keys.heads);
    const own = this.#given(keys.headWidth);
    const apart = !wholeHeads && this.has(keys.headWidth) && (own !== undefined || heads < hidden);
    if (!apart && hidden % heads !== 0) {
      const what = `is ${hidden}, which ${heads} heads do not divide`;
      this.#refuse(keys.hidden, what, `make it a multiple of \`${keys.heads}\``);
    }
    const shared = this.#given(keys.kvHeads);
    const kvHeads = shared === undefined ? heads : this.count(shared);
    if (shared !== undefined && heads % kvHeads !== 0) {
      const wayOut = `make \`${shared}\` a divisor of \`${keys.heads}\``;
      this.#refuse(shared, `is ${kvHeads}, which does not divide ${heads} heads`, wayOut);
    }
    return {
      layers: this.layers(keys.layers),
      hidden,
      heads,
      kvHeads,
      // Less of the stream than there is, where they don't divide it.
      headWidth: own === undefined ? Math.floor(hidden / heads) : this.count(own),
      ffn: this.count(keys.ffn),
      vocab: this.count(keys.vocab),
      positions: this.count(keys.positions) - uncounted,
      types: this.has(keys.types) ? this.count(keys.types) : 0,
    };
  }

  /** A key that the config has, and not as null. */
  #given(key: string): string | undefined {
    return this.has(key) && (this.#values[key] ?? null) !== null ? key : undefined;
  }

  /** The padding id, and whether its row starts at zero; undefined where the config has none. */
  padding(zero = true): { readonly row: number; readonly zero: boolean } | undefined {
    const row = this.countOrNull("pad_token_id");
    if (row === null) return undefined;
    this.below("pad_token_id", row, this.count("vocab_size"), "vocab_size");
    return { row, zero };
  }

  /** Refuses heads of an odd width, which rotary positions can't pair. */
  paired(keys: Keys, headWidth: number): void {
    if (headWidth % 2 === 0) return;
    this.#refuse(
      this.#given(keys.headWidth) ?? keys.hidden,
      `makes heads ${headWidth} wide`,
      "rotary positions pair a head's units: make it even",
    );
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
