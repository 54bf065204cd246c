/**
 * What every architecture does alike, made from what is its own (Definition): a config read into a model, stored names
 * into parameters, sizes into a config, and classes of transformers into outputs.
 */
import { ProgramError } from "../program/graph.ts";
import type { Json } from "../util/json.ts";
import type { Architecture, ForwardResult, Model, ModelSettings, Spelling } from "./architecture.ts";
import { classOf, type ModelClass, outputsToRead } from "./classes.ts";
import { ConfigReader } from "./config.ts";
import { type Dimensions, has, OUTPUTS, type Output, type Outputs, type Parameter, type Sizes } from "./table.ts";

/** Names beyond those of the parameter table. A full name is one without the network's prefix. */
export interface Names {
  /** What stands before the network's own names in a model with a head on top; a bare network is saved without it. */
  readonly prefix: string;
  /** Spellings of the past and today's, in place of it. */
  readonly past?: readonly (readonly [RegExp, string])[];
  /** Tied copies that some checkpoints store, and the parameters they repeat. */
  readonly copies: Readonly<Record<string, string>>;
  /** Stored by some versions without being a parameter. */
  readonly buffers: RegExp;
}

/** A config read. */
export interface Network {
  readonly dimensions: Dimensions;
  readonly settings: ModelSettings;
  /** The blocks' kinds, where they differ. */
  readonly kinds?: readonly string[];
  /** Whether the language model's logits are made by the token embedding. */
  readonly tied: boolean;
  /** @param base what stands before the network's own names */
  table(outputs: Outputs, base: string): readonly Parameter[];
}

/** What an architecture's file says. */
export interface Definition {
  /** config.json's model_type. */
  readonly type: string;
  /** What transformers' configuration class fills in, less what does not concern the network. */
  readonly defaults: Json;
  /** Other keys that its config may use, and its own for them. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** What its config calls the sizes and the norms' eps; `headWidth` only where it need not be hidden size / heads. */
  readonly keys: Readonly<Partial<Record<keyof Sizes | "eps", string>>>;
  /** The first is the class of a config that names none. */
  readonly classes: readonly ModelClass[];
  readonly names: Names;
  /** What its language model is trained for. */
  readonly objective: "mlm" | "clm";
  /** @throws UserError for what the table does not describe */
  read(config: Json, reader: ConfigReader): Network;
  /** Default: the sizes under their keys. */
  readonly resize?: Architecture["resize"];
  readonly withKinds?: Architecture["withKinds"];
  readonly positions?: Architecture["positions"];
  /** Outputs that no model of the architecture has are left out. */
  forward(
    ...given: Parameters<Architecture["forward"]>
  ): Pick<ForwardResult, "hidden" | "lmLogits"> & Partial<ForwardResult>;
}

/** A config with sizes and eps under their keys. */
export function resized(keys: Definition["keys"], config: Json, to: Parameters<Architecture["resize"]>[1]): Json {
  const names = ["layers", "hidden", "heads", "kvHeads", "headWidth", "ffn", "eps"] as const;
  const set = names.flatMap((name) => {
    const [key, size] = [keys[name], to[name]];
    return key === undefined || size === undefined ? [] : [[key, size] as const];
  });
  return { ...config, ...Object.fromEntries(set) };
}

/** A config under the architecture's own keys. */
export function ownKeys(aliases: Definition["aliases"] = {}, config: Json): Json {
  const own = (key: string) => (Object.hasOwn(aliases, key) ? aliases[key] : key);
  const kept = Object.entries(config).filter(([key]) => own(key) === key || !Object.hasOwn(config, own(key)));
  return Object.fromEntries(kept.map(([key, value]) => [own(key), value]));
}

export function defineArchitecture(definition: Definition): Architecture {
  const { type, aliases, classes, names, keys } = definition;
  const every = OUTPUTS.filter((output) => classes.some((one) => one.outputs.includes(output)));

  function namedClass(config: Json, where: string): ModelClass | undefined {
    const named = new ConfigReader(config, where).className(classes.map((one) => one.name));
    return classes.find((one) => one.name === named);
  }

  /** A name as today's spelling has it, without the prefix. */
  function full(name: string): string {
    const today = (names.past ?? []).reduce((text, [past, now]) => text.replace(past, now), name);
    return today.startsWith(names.prefix) ? today.slice(names.prefix.length) : today;
  }

  function modelWith(given: Json, where: string, present: readonly Output[]): Model {
    const config: Json = { ...definition.defaults, ...ownKeys(aliases, given) };
    const { dimensions, settings, tied, table, kinds } = definition.read(config, new ConfigReader(config, where));
    const lm = tied ? "tied" : "untied";
    const outputs: Outputs = {
      lm: present.includes("lm") ? lm : "none",
      pooler: present.includes("pooler"),
      nsp: present.includes("nsp"),
    };
    const base = outputs.lm !== "none" || outputs.nsp ? names.prefix : "";
    const written = { ...config, architectures: [(classOf(classes, present) ?? classes[0]).name] };
    return { architecture, config: written, dimensions, outputs, parameters: table(outputs, base), settings, kinds };
  }

  const architecture: Architecture = {
    type,
    ownHeadWidth: keys.headWidth !== undefined,

    model(config, where, outputs) {
      const named = namedClass(config, where);
      const chosen = outputs === undefined ? undefined : OUTPUTS.filter((output) => has(outputs, output));
      return modelWith(config, where, chosen ?? (named ?? classes[0]).outputs);
    },

    outputsStored(config, where, stored) {
      const named = namedClass(config, where);
      const held = new Set(Array.from(stored, full));
      const { parameters } = modelWith(config, where, every);
      // An output without parameters of its own leaves no trace: the class says whether it is there.
      const found = every.filter((output) => {
        const first = parameters.find((parameter) => parameter.output === output);
        return first === undefined ? (named ?? classes[0]).outputs.includes(output) : held.has(full(first.name));
      });
      return modelWith(config, where, outputsToRead(classes, named, found)).outputs;
    },

    spelling(model) {
      const known = new Map<string, Spelling>();
      for (const { name } of modelWith(model.config, "config", every).parameters) known.set(full(name), ignored);
      const own = new Map(model.parameters.map(({ name }) => [full(name), name]));
      for (const [copy, copied] of Object.entries(names.copies)) {
        const of = model.outputs.lm === "tied" ? own.get(copied) : undefined;
        known.set(copy, of === undefined ? ignored : { kind: "copy", of });
      }
      for (const [name, parameter] of own) known.set(name, { kind: "parameter", name: parameter });
      return (stored) => known.get(full(stored)) ?? (names.buffers.test(full(stored)) ? ignored : { kind: "unknown" });
    },

    resize: definition.resize ?? ((config, to) => resized(keys, ownKeys(aliases, config), to)),

    objectives: (outputs) => [
      ...(has(outputs, "lm") ? [definition.objective] : []),
      ...(has(outputs, "nsp") ? ["nsp"] : []),
    ],

    withKinds: definition.withKinds,

    positions: definition.positions ?? (() => undefined),

    forward: (...given) => ({ pooled: missing, nspLogits: missing, ...definition.forward(...given) }),
  };
  return architecture;
}

const ignored: Spelling = { kind: "ignored" };

function missing(): never {
  throw new ProgramError("no model of this architecture has that output");
}
