/**
 * What every architecture does alike, made from what is its own (Definition): a config read into a model, stored names
 * into parameters, sizes into a config, and classes of transformers into outputs.
 */
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import type { Architecture, Model, ModelSettings, Spelling } from "./architecture.ts";
import { classOf } from "./classes.ts";
import { ConfigReader, type Keys, namedClass, usualKeys } from "./config.ts";
import type { Network } from "./network.ts";
import { parametersOf } from "./parameters.ts";
import { type Changes, type Dimensions, has, OUTPUTS, type Output, type Outputs, parameterCount } from "./table.ts";

/** Names beyond those of the parameter table. A full name is one without the network's prefix. */
export interface Names {
  /** What stands before the network's own names in a model with a head on top; a bare network is saved without it. */
  readonly prefix: string;
  /** Spellings of the past and today's, in place of it. */
  readonly past?: readonly (readonly [RegExp, string])[];
  /** Stored by some versions without being a parameter. */
  readonly buffers: RegExp;
  /** Heads that transformers' classes for tasks (classification, question answering) store in place of ours. */
  readonly tasks: RegExp;
  /** Parameters of the language model's head that heads for tasks have too, so that they tell of none. */
  readonly shared?: RegExp;
  /** Heads for tasks that stand beside a language model's. */
  readonly beside?: RegExp;
}

/** A config read. */
export interface Described extends Network {
  /** Beyond those that stand under its keys. */
  readonly settings?: Partial<ModelSettings>;
  /** The blocks' kinds, where they differ. */
  readonly kinds?: readonly string[];
}

/** What an architecture's file says. */
export interface Definition
  extends Pick<Architecture, "type" | "classes" | "taskHeads" | "remark">,
    Partial<Pick<Architecture, "studied" | "withKinds" | "stretched">> {
  /** What transformers' configuration class fills in, less what does not concern the network: the keys that are read. */
  readonly defaults: Json;
  /** Other keys that its config may use, and its own for them. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** What its config calls the sizes, the norms' eps, the activation and the rates of dropout, where that is not usual. */
  readonly keys?: Partial<Keys>;
  readonly names: Names;
  /** Whether heads must divide the hidden size even where their width is the config's to say. */
  readonly wholeHeads?: boolean;
  /** Keys that its config may have and transformers' class does not fill in. */
  readonly optional?: readonly string[];
  /** What its language model is trained for. */
  readonly objective: "mlm" | "clm";
  /** Whether positions count from the padding id + 1, and only what is not padding. */
  readonly positionsAfterPadding?: boolean;
  /** A config with what is a rule there, rather than a value, worked out: as it is read. */
  readonly filled?: (config: Json) => Json;
  /** @throws UserError for what a network can't describe */
  network(config: Json, read: ConfigReader, dimensions: Dimensions): Described;
  /** Default: the sizes under their keys. */
  readonly resize?: Architecture["resize"];
}

/** A config with sizes and eps under those of the keys that its defaults have. */
export function resized(keys: Partial<Keys>, defaults: Json, config: Json, to: Changes): Json {
  const names = ["layers", "hidden", "heads", "kvHeads", "headWidth", "ffn", "eps", "vocab", "positions"] as const;
  const set = names.flatMap((name) => {
    const [key = "", size] = [keys[name], to[name]];
    return Object.hasOwn(defaults, key) && size !== undefined ? [[key, size] as const] : [];
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
  const { aliases, classes, names, filled = (config) => config, optional = [] } = definition;
  const keys: Keys = { ...usualKeys, ...definition.keys };
  const known: Json = { ...definition.defaults, ...Object.fromEntries(optional.map((key) => [key, null])) };
  const every = OUTPUTS.filter((output) => classes.some((one) => one.outputs.includes(output)));

  /** A name as today's spelling has it, without the prefix. */
  function full(name: string): string {
    const today = (names.past ?? []).reduce((text, [past, now]) => text.replace(past, now), name);
    return today.startsWith(names.prefix) ? today.slice(names.prefix.length) : today;
  }

  /** A config read as a model with these outputs, whether or not its head may be tied. */
  function tableOf(given: Json, where: string, present: readonly Output[]): Model {
    const config: Json = { ...definition.defaults, ...ownKeys(aliases, given) };
    const read = new ConfigReader(filled(config), where, known);
    const before = definition.positionsAfterPadding ? read.count("pad_token_id", 0) + 1 : 0;
    read.below("pad_token_id", before, read.count(keys.positions), keys.positions);
    const dimensions = read.dimensions(keys, before, definition.wholeHeads);
    const { settings: beyond, kinds, ...network } = definition.network(config, read, dimensions);
    if (network.attends(kinds?.[0]).rope !== undefined) read.paired(keys, dimensions.headWidth);
    const settings: ModelSettings = {
      eps: beyond?.eps ?? read.positive(keys.eps),
      activation: read.activation(keys.activation),
      attentionScale: 1 / Math.sqrt(dimensions.headWidth),
      dropout: {
        embedding: read.rate(keys.embeddingDropout),
        attention: read.rate(keys.attentionDropout),
        hidden: read.rate(keys.dropout),
        inner: read.rate(keys.innerDropout),
      },
      ...beyond,
    };
    const lm = read.flag("tie_word_embeddings") ? "tied" : "untied";
    const outputs: Outputs = {
      lm: present.includes("lm") ? lm : "none",
      pooler: present.includes("pooler"),
      nsp: present.includes("nsp"),
    };
    const base = outputs.lm !== "none" || outputs.nsp ? names.prefix : "";
    // The bare model is the last: it stands for one without any output of its own as well.
    const written = { ...config, architectures: [(classOf(classes, present) ?? classes[classes.length - 1]).name] };
    const parameters = parametersOf(network, dimensions, outputs, base);
    // Above this a file's offsets are no numbers any more; and growth makes maps as long as these sizes.
    const count = parameterCount(parameters);
    if (!Number.isSafeInteger(4 * count)) {
      throw new UserError(`${count.toExponential(1)} parameters, more than a file can hold`, where, "lower its sizes");
    }
    return { architecture, config: written, dimensions, outputs, network, parameters, settings, kinds };
  }

  const architecture: Architecture = {
    type: definition.type,
    ownHeadWidth: Object.hasOwn(known, keys.headWidth),
    wholeHeads: definition.wholeHeads === true,
    studied: definition.studied === true,
    classes,

    model(config, where, outputs) {
      const reader = new ConfigReader(config, where);
      const named = outputs === undefined ? reader.className(classes.map((one) => one.name)) : undefined;
      const present =
        outputs === undefined
          ? (classes.find((one) => one.name === named) ?? classes[0]).outputs
          : OUTPUTS.filter((output) => has(outputs, output));
      return tableOf(config, where, present);
    },

    outputsStored(config, where, stored) {
      const held = new Set(Array.from(stored, full));
      const { parameters, network } = tableOf(config, where, every);
      const found = every.filter((output) => {
        const own = parameters.filter((one) => one.output === output && names.shared?.test(full(one.name)) !== true);
        // One tensor will do: what else of it is missing is then named.
        if (own.length > 0) return own.some(({ name }) => held.has(full(name)));
        // An output without a tensor of its own leaves no trace but a tied copy: else the class says whether it is there.
        if (Object.keys(copiesOf(network)).some((name) => held.has(name))) return true;
        const named = classes.find((one) => one.name === namedClass(config));
        return named?.outputs.includes(output) ?? ![...held].some((name) => names.tasks.test(name));
      });
      return tableOf(config, where, classOf(classes, found)?.outputs ?? []).outputs;
    },

    spelling(model) {
      const known = new Map<string, Spelling>();
      for (const { name } of tableOf(model.config, "config", every).parameters) known.set(full(name), HEAD);
      const own = new Map(model.parameters.map(({ name }) => [full(name), name]));
      for (const [copy, copied] of Object.entries(copiesOf(model.network))) {
        const of = model.outputs.lm === "tied" ? own.get(copied) : undefined;
        known.set(copy, of === undefined ? HEAD : { kind: "copy", of });
      }
      for (const [name, parameter] of own) known.set(name, { kind: "parameter", name: parameter });
      return (stored) => {
        const name = full(stored);
        const of = known.get(name);
        if (of !== undefined) return of;
        if (names.tasks.test(name) || names.beside?.test(name)) return HEAD;
        return { kind: names.buffers.test(name) ? "ignored" : "unknown" };
      };
    },

    resize(config, sizes) {
      const padding = Number(config.pad_token_id ?? definition.defaults.pad_token_id);
      const before = definition.positionsAfterPadding ? padding + 1 : 0;
      const to = { ...sizes, positions: sizes.positions && sizes.positions + before };
      const made = definition.resize?.(config, to) ?? resized(keys, known, ownKeys(aliases, config), to);
      const { layer_types: kinds, ...rest } = made;
      const { withKinds } = definition;
      if (withKinds === undefined || !Array.isArray(kinds) || (to.layers ?? kinds.length) === kinds.length) return made;
      // Without a block nothing says what theirs are: the config's own rule does.
      if (kinds.length === 0) return rest;
      const inTurn = Array.from({ length: Number(to.layers) }, (_, layer) => String(kinds[layer % kinds.length]));
      return withKinds(made, inTurn);
    },

    objectives: (outputs) => [
      ...(has(outputs, "lm") ? [definition.objective] : []),
      ...(has(outputs, "nsp") ? ["nsp"] : []),
    ],

    withKinds: definition.withKinds,
    stretched: definition.stretched,
    taskHeads: definition.taskHeads,

    remark: definition.remark,
  };
  return architecture;
}

/** Of an output that the model has not. */
const HEAD: Spelling = { kind: "head" };

/** Tied copies that some checkpoints store, and the parameters they repeat. */
function copiesOf({ lm, embedding }: Network): Readonly<Record<string, string>> {
  const { decoder, bias } = lm;
  return { [`${decoder}.weight`]: embedding.words, ...(bias === undefined ? {} : { [`${decoder}.bias`]: bias }) };
}
