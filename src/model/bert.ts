/**
 * BERT: post-LN encoder, pooler, masked-language-model head tied to the token embedding, next-sentence head.
 *
 * Lineage: Devlin et al., "BERT" (2019); transformers' BertModel, BertForPreTraining, BertForMaskedLM and
 * BertForNextSentencePrediction. RoBERTa is the same encoder under other names, with another head and a position
 * offset: this file holds the family, roberta.ts says what differs.
 *
 * The last norm before the tied decoder (the MLM transform's) reads units rather than making them: the decoder is the
 * embedding matrix, whose hidden dimension is copied when the network grows, so what stands before it must share.
 */
import { ProgramError } from "../program/graph.ts";
import { tanh } from "../program/ops/index.ts";
import type { Json } from "../util/json.ts";
import type { Architecture, Spelling } from "./architecture.ts";
import { embed, Frame, postNormBlock } from "./blocks.ts";
import { classOf, headsToRead, type ModelClass, modelClass } from "./classes.ts";
import { type Activation, ConfigReader } from "./config.ts";
import { bias, linearLayer, matrix, norm, out, type Place, reads } from "./parameters.ts";
import { ModelStates } from "./states.ts";
import type { Dimensions, Heads, Init, Parameter } from "./table.ts";

/** What tells the members of the family apart. */
export interface Flavour {
  /** model_type. */
  readonly type: string;
  /** What stands before the encoder's names in a model with heads, without its full stop; default the type. */
  readonly prefix?: string;
  /** What transformers' configuration class fills in. */
  readonly defaults: Json;
  readonly classes: readonly ModelClass[];
  /** The class of a config that names none. */
  readonly defaultClass: ModelClass;
  /** Names of the language-model head's transform, its norm, the decoder's bias and the tied copies some store. */
  readonly lm: {
    readonly dense: string;
    readonly norm: string;
    readonly bias: string;
    readonly decoder: string;
    /** The transform's activation; absent: the config's. */
    readonly activation?: Activation;
  };
  /** Name of the next-sentence head; absent: there is none. */
  readonly nsp?: string;
  /** Whether positions count from the padding id + 1, and only what is not padding. */
  readonly positionsAfterPadding: boolean;
}

const WORD = "embeddings.word_embeddings.weight";

/** What the table needs beyond the dimensions. */
interface Drawing {
  /** Standard deviation of new weights. */
  readonly std: number;
  readonly padding: number | null;
  /** Rows of the position table. */
  readonly positionRows: number;
}

/** A bare encoder is saved without the prefix that it has inside a model with heads. */
function encoderPrefix(flavour: Flavour, heads: Heads): string {
  return heads.lm || heads.nsp ? `${flavour.prefix ?? flavour.type}.` : "";
}

function encoderTable(flavour: Flavour, d: Dimensions, drawing: Drawing, heads: Heads): readonly Parameter[] {
  const base = encoderPrefix(flavour, heads);
  const init: Init = { kind: "normal", std: drawing.std };
  const padded: Init = drawing.padding === null ? init : { ...init, zeroRow: drawing.padding };
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const units = out(["kv", d.heads], ["head", d.headWidth]);
  const inner = out(["ffn", d.ffn]);

  const entry: Place = { prefix: base, layer: null, group: "embedding" };
  const table: Parameter[] = [
    matrix(entry, WORD, "embedding", [out(["vocab", d.vocab]), stream], padded),
    matrix(
      entry,
      "embeddings.position_embeddings.weight",
      "embedding",
      [out(["position", drawing.positionRows]), stream],
      flavour.positionsAfterPadding ? padded : init,
    ),
    matrix(entry, "embeddings.token_type_embeddings.weight", "embedding", [out(["type", d.types]), stream], init),
    ...norm(entry, "embeddings.LayerNorm", stream, { place: "stream", of: "embedding" }),
  ];
  for (let layer = 0; layer < d.layers; layer++) {
    const block: Place = { prefix: `${base}encoder.layer.${layer}.`, layer, group: "block" };
    table.push(
      ...linearLayer(block, "attention.self.query", "branch-input", [units, fromStream], units, init),
      ...linearLayer(block, "attention.self.key", "branch-input", [units, fromStream], units, init),
      ...linearLayer(block, "attention.self.value", "branch-input", [units, fromStream], units, init),
      ...linearLayer(
        block,
        "attention.output.dense",
        "branch-output",
        [stream, reads(["kv", d.heads], ["head", d.headWidth])],
        stream,
        init,
      ),
      ...norm(block, "attention.output.LayerNorm", stream, { place: "stream", of: "attention" }),
      ...linearLayer(block, "intermediate.dense", "branch-input", [inner, fromStream], inner, init),
      ...linearLayer(block, "output.dense", "branch-output", [stream, reads(["ffn", d.ffn])], stream, init),
      ...norm(block, "output.LayerNorm", stream, { place: "stream", of: "ffn" }),
    );
  }
  if (heads.pooler) {
    const pooler: Place = { prefix: base, layer: null, group: "head" };
    const made = out(["pooler", d.hidden]);
    table.push(...linearLayer(pooler, "pooler.dense", "head", [made, fromStream], made, init));
  }
  const head: Place = { prefix: "", layer: null, group: "head" };
  if (heads.lm) {
    const made = out(["transform", d.hidden]);
    table.push(
      ...linearLayer(head, flavour.lm.dense, "head", [made, fromStream], made, init),
      ...norm(head, flavour.lm.norm, reads(["transform", d.hidden]), { place: "head", of: "transform" }),
      bias(head, flavour.lm.bias, "head", out(["vocab", d.vocab])),
    );
  }
  if (heads.nsp && flavour.nsp !== undefined) {
    const label = out(["label", 2]);
    table.push(...linearLayer(head, flavour.nsp, "head", [label, reads(["pooler", d.hidden])], label, init));
  }
  return table;
}

/** A member of the family, from what tells it apart. */
export function encoderArchitecture(flavour: Flavour): Architecture {
  const every: Heads = { lm: true, pooler: true, nsp: flavour.nsp !== undefined };
  const one: Dimensions = {
    layers: 1,
    hidden: 1,
    heads: 1,
    kvHeads: 1,
    headWidth: 1,
    ffn: 1,
    vocab: 1,
    positions: 1,
    types: 1,
  };
  const drawing: Drawing = { std: 1, padding: null, positionRows: 1 };
  /** Names without prefix and layer, of everything a model of the family can hold. */
  const encoderKinds = new Set<string>();
  const headKinds = new Set<string>();
  for (const parameter of encoderTable(flavour, one, drawing, every)) {
    (parameter.name === parameter.kind ? headKinds : encoderKinds).add(parameter.kind);
  }
  const blockKinds = new Set(
    encoderTable(flavour, one, drawing, every)
      .filter((parameter) => parameter.layer !== null)
      .map((parameter) => parameter.kind),
  );

  /** The name as a model with every head and today's spelling has it, less the encoder's prefix. */
  function bare(stored: string): string {
    const name = stored.replace(/\.gamma$/, ".weight").replace(/\.beta$/, ".bias");
    const prefix = encoderPrefix(flavour, every);
    return name.startsWith(prefix) ? name.slice(prefix.length) : name;
  }

  function spelling(stored: string, heads: Heads): Spelling {
    const name = bare(stored);
    const base = encoderPrefix(flavour, heads);
    if (name === "embeddings.position_ids" || name === "embeddings.token_type_ids") return { kind: "ignored" };
    if (name === `${flavour.lm.decoder}.weight`)
      return heads.lm ? { kind: "copy", of: base + WORD } : { kind: "ignored" };
    if (name === `${flavour.lm.decoder}.bias`)
      return heads.lm ? { kind: "copy", of: flavour.lm.bias } : { kind: "ignored" };
    const block = /^encoder\.layer\.\d+\.(.+)$/.exec(name);
    if (block !== null ? blockKinds.has(block[1]) : encoderKinds.has(name) && !blockKinds.has(name)) {
      const leftOut = name.startsWith("pooler.") && !heads.pooler;
      return leftOut ? { kind: "ignored" } : { kind: "parameter", name: base + name };
    }
    if (!headKinds.has(name)) return { kind: "unknown" };
    const ofNsp = flavour.nsp !== undefined && name.startsWith(`${flavour.nsp}.`);
    return (ofNsp ? heads.nsp : heads.lm) ? { kind: "parameter", name } : { kind: "ignored" };
  }

  const architecture: Architecture = {
    type: flavour.type,
    spelling,

    model(given, where, chosen) {
      const config: Json = { ...flavour.defaults, ...given };
      const read = new ConfigReader(config, where);
      read.only("is_decoder", false, "a BERT that decodes is");
      read.only("add_cross_attention", false, "cross-attention is");
      read.only("position_embedding_type", "absolute", "relative positions are");
      read.only("tie_word_embeddings", true, "a decoder not tied to the embeddings is");
      const named = read.className(flavour.classes.map((known) => known.name));
      const heads =
        chosen ?? flavour.classes.find((known) => known.name === named)?.heads ?? flavour.defaultClass.heads;
      const padding = read.countOrNull("pad_token_id");
      const positionRows = read.count("max_position_embeddings");
      const offset = flavour.positionsAfterPadding ? read.count("pad_token_id", 0) + 1 : 0;
      const vocab = read.count("vocab_size");
      if (padding !== null) read.below("pad_token_id", padding, vocab, "vocab_size");
      read.below("pad_token_id", offset, positionRows, "max_position_embeddings");
      const dimensions: Dimensions = {
        layers: read.layers("num_hidden_layers"),
        ...read.attention("hidden_size", "num_attention_heads"),
        ffn: read.count("intermediate_size"),
        vocab,
        positions: positionRows - offset,
        types: read.count("type_vocab_size"),
      };
      const attentionScale = 1 / Math.sqrt(dimensions.headWidth);
      const hidden = read.rate("hidden_dropout_prob");
      const std = read.positive("initializer_range");
      return {
        architecture,
        config: { ...config, architectures: [classOf(flavour.classes, heads)?.name ?? flavour.defaultClass.name] },
        dimensions,
        heads,
        parameters: encoderTable(flavour, dimensions, { std, padding, positionRows }, heads),
        settings: {
          eps: read.positive("layer_norm_eps"),
          activation: read.activation("hidden_act"),
          norm: "post",
          attentionScale,
          dropout: { embedding: hidden, attention: read.rate("attention_probs_dropout_prob"), hidden },
        },
      };
    },

    headsStored(config, where, stored) {
      const named = new ConfigReader(config, where).className(flavour.classes.map((known) => known.name));
      const names = new Set(Array.from(stored, bare));
      return headsToRead(flavour.classes, named, {
        lm: names.has(`${flavour.lm.dense}.weight`),
        pooler: names.has("pooler.dense.weight"),
        nsp: flavour.nsp !== undefined && names.has(`${flavour.nsp}.weight`),
      });
    },

    resize(config, to) {
      return {
        ...config,
        ...(to.layers === undefined ? {} : { num_hidden_layers: to.layers }),
        ...(to.hidden === undefined ? {} : { hidden_size: to.hidden }),
        ...(to.heads === undefined ? {} : { num_attention_heads: to.heads }),
        ...(to.ffn === undefined ? {} : { intermediate_size: to.ffn }),
        ...(to.eps === undefined ? {} : { layer_norm_eps: to.eps }),
      };
    },

    objectives: (heads) => [...(heads.lm ? ["mlm"] : []), ...(heads.nsp ? ["nsp"] : [])],

    forward(b, model, inputs, options) {
      const base = encoderPrefix(flavour, model.heads);
      const states = new ModelStates(b, model);
      const frame = new Frame(b, model, inputs, options, { inputMajor: false });
      const tables = {
        word: states.value(base + WORD),
        position: states.value(`${base}embeddings.position_embeddings.weight`),
        type: states.value(`${base}embeddings.token_type_embeddings.weight`),
      };
      const offset = flavour.positionsAfterPadding ? Number(model.config.pad_token_id) + 1 : 0;
      const embedded = frame.norm(embed(frame, inputs, tables, offset), states.norm(`${base}embeddings.LayerNorm`));
      const hidden = [frame.dropout(embedded, "embedding", "embedding")];
      for (let layer = 0; layer < frame.layers; layer++) {
        const name = `${base}encoder.layer.${layer}.`;
        const block = {
          query: states.linear(`${name}attention.self.query`),
          key: states.linear(`${name}attention.self.key`),
          value: states.linear(`${name}attention.self.value`),
          attentionOutput: states.linear(`${name}attention.output.dense`),
          attentionNorm: states.norm(`${name}attention.output.LayerNorm`),
          ffnInput: states.linear(`${name}intermediate.dense`),
          ffnOutput: states.linear(`${name}output.dense`),
          ffnNorm: states.norm(`${name}output.LayerNorm`),
        };
        hidden.push(postNormBlock(frame, hidden[layer], block, layer));
      }
      return {
        hidden,
        lmLogits(rows) {
          const transformed = frame.activation(
            frame.linear(rows, states.linear(flavour.lm.dense)),
            flavour.lm.activation,
          );
          const weights = { weight: tables.word, bias: states.value(flavour.lm.bias) };
          return frame.linear(frame.norm(transformed, states.norm(flavour.lm.norm)), weights);
        },
        pooled: (first) => tanh(b, frame.linear(first, states.linear(`${base}pooler.dense`))),
        nspLogits(pooled) {
          if (flavour.nsp === undefined) throw new ProgramError(`${flavour.type} has no next-sentence head`);
          return frame.linear(pooled, states.linear(flavour.nsp));
        },
      };
    },

    positions(model, ids, length) {
      if (!flavour.positionsAfterPadding) return undefined;
      const padding = Number(model.config.pad_token_id);
      const rows = new Int32Array(ids.length);
      for (let start = 0; start < ids.length; start += length) {
        let seen = 0;
        for (let i = start; i < start + length; i++) rows[i] = ids[i] === padding ? padding : padding + ++seen;
      }
      return rows;
    },
  };
  return architecture;
}

/** What the configs of transformers' BERT, RoBERTa and their kin have in common, less what does not concern the network. */
export const encoderDefaults: Json = {
  vocab_size: 30522,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  hidden_act: "gelu",
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  initializer_range: 0.02,
  layer_norm_eps: 1e-12,
  tie_word_embeddings: true,
};

const maskedLM = modelClass("BertForMaskedLM", true, false, false);

export const bert: Architecture = encoderArchitecture({
  type: "bert",
  // transformers' BertConfig.
  defaults: { ...encoderDefaults, model_type: "bert", pad_token_id: 0 },
  classes: [
    modelClass("BertForPreTraining", true, true, true),
    maskedLM,
    modelClass("BertForNextSentencePrediction", false, true, true),
    modelClass("BertModel", false, true, false),
  ],
  defaultClass: maskedLM,
  lm: {
    dense: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    bias: "cls.predictions.bias",
    decoder: "cls.predictions.decoder",
  },
  nsp: "cls.seq_relationship",
  positionsAfterPadding: false,
});
