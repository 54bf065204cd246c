/**
 * The family of BERT: post-LN encoder, pooler, masked-language-model head tied to the token embedding, next-sentence
 * head. Its members differ in names, in which heads there are and in how positions are counted (Flavour).
 *
 * Lineage: Devlin et al., "BERT" (2019); transformers' BertModel, BertForPreTraining, BertForMaskedLM and
 * BertForNextSentencePrediction.
 *
 * The last norm before the tied decoder (the MLM transform's) reads units rather than making them: the decoder is the
 * embedding matrix, whose hidden dimension is copied when the network grows, so what stands before it must share.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import type { Value } from "../program/graph.ts";
import { add, tanh } from "../program/ops/index.ts";
import type { Json } from "../util/json.ts";
import type { Architecture, ForwardInputs, ForwardOptions, Model } from "./architecture.ts";
import { embed, Frame } from "./blocks.ts";
import type { ModelClass } from "./classes.ts";
import type { Activation, ConfigReader } from "./config.ts";
import { defineArchitecture, type Network } from "./define.ts";
import { bias, layerNorm, linearLayer, matrix, norm, out, type Place, reads } from "./parameters.ts";
import { ModelStates } from "./states.ts";
import type { Dimensions, Init, Outputs, Parameter } from "./table.ts";

/** What a block's layers are called, and what stands before its number. */
const bertNames = {
  blocks: "encoder.layer",
  query: "attention.self.query",
  key: "attention.self.key",
  value: "attention.self.value",
  attention: "attention.output.dense",
  attentionNorm: "attention.output.LayerNorm",
  inner: "intermediate.dense",
  ffn: "output.dense",
  ffnNorm: "output.LayerNorm",
};

/** What a config calls what they all have. */
const bertKeys = {
  layers: "num_hidden_layers",
  hidden: "hidden_size",
  heads: "num_attention_heads",
  ffn: "intermediate_size",
  activation: "hidden_act",
  dropout: "hidden_dropout_prob",
  attentionDropout: "attention_probs_dropout_prob",
};

/** What tells the members of the family apart. */
export interface Flavour {
  /** model_type. */
  readonly type: string;
  /** As in Definition. */
  readonly studied?: true;
  /** What stands before the encoder's names in a model with heads, without its full stop; default the type. */
  readonly prefix?: string;
  /** Default: BERT's. */
  readonly names?: typeof bertNames;
  readonly keys?: typeof bertKeys;
  readonly aliases?: Readonly<Record<string, string>>;
  /** Of the norms, where the config has no `layer_norm_eps`. */
  readonly eps?: number;
  /** Whether there are no embeddings of token types. */
  readonly untyped?: boolean;
  /** Whether nothing of what attention writes is dropped. */
  readonly keepsAttention?: boolean;
  /** Whether its decoder may be a matrix of its own. */
  readonly untied?: boolean;
  /** What transformers' configuration class fills in. */
  readonly defaults: Json;
  /** The first is the class of a config that names none. */
  readonly classes: readonly ModelClass[];
  /** Names of the language-model head's transform, its norm, the decoder's bias and the tied copies some store. */
  readonly lm: {
    readonly dense: string;
    readonly norm: string;
    readonly bias: string;
    readonly decoder: string;
    /** The transform's activation; absent: the config's. */
    readonly activation?: Activation;
  };
  /** Name of the next-sentence head, if there is one. */
  readonly nsp: string | undefined;
  /** What its classes for tasks have in place of those. */
  readonly taskHeads?: Architecture["taskHeads"];
  /** Whether positions count from the padding id + 1, and only what is not padding. */
  readonly positionsAfterPadding: boolean;
}

/** A member of the family, from what tells it apart. */
export function encoderArchitecture(flavour: Flavour): Architecture {
  const { type, lm } = flavour;
  return defineArchitecture({
    type,
    studied: flavour.studied,
    defaults: flavour.defaults,
    aliases: flavour.aliases,
    keys: { ...(flavour.keys ?? bertKeys), ...(flavour.eps === undefined ? { eps: "layer_norm_eps" } : {}) },
    classes: flavour.classes,
    names: {
      prefix: `${flavour.prefix ?? type}.`,
      past: [
        [/\.gamma$/, ".weight"],
        [/\.beta$/, ".bias"],
      ],
      copies: { [`${lm.decoder}.weight`]: WORD, [`${lm.decoder}.bias`]: lm.bias },
      buffers: /^embeddings\.(position_ids|token_type_ids)$/,
      tasks: /^(pre_classifier|classifier|qa_outputs)\./,
    },
    untied: flavour.untied,
    objective: "mlm",
    taskHeads: flavour.taskHeads,
    read: (config, reader) => readEncoder(flavour, config, reader),
    positions: flavour.positionsAfterPadding ? positionsAfterPadding : undefined,
    forward: (b, model, inputs, options) => forward(flavour, b, model, inputs, options),
  });
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

const WORD = "embeddings.word_embeddings.weight";
const TYPES = "embeddings.token_type_embeddings.weight";

/** What the table needs beyond the dimensions. */
interface Drawing {
  /** Standard deviation of new weights. */
  readonly std: number;
  readonly padding: number | null;
  /** Rows of the position table. */
  readonly positionRows: number;
  /** Whether that starts as sines and cosines. */
  readonly sinusoidal: boolean;
}

function readEncoder(flavour: Flavour, config: Json, read: ConfigReader): Network {
  read.only("is_decoder", false, "a BERT that decodes is");
  read.only("add_cross_attention", false, "cross-attention is");
  read.only("position_embedding_type", "absolute", "relative positions are");
  const padding = read.countOrNull("pad_token_id");
  const positionRows = read.count("max_position_embeddings");
  const offset = flavour.positionsAfterPadding ? read.count("pad_token_id", 0) + 1 : 0;
  const vocab = read.count("vocab_size");
  if (padding !== null) read.below("pad_token_id", padding, vocab, "vocab_size");
  read.below("pad_token_id", offset, positionRows, "max_position_embeddings");
  const keys = flavour.keys ?? bertKeys;
  const dimensions: Dimensions = {
    layers: read.layers(keys.layers),
    ...read.attention(keys.hidden, keys.heads),
    ffn: read.count(keys.ffn),
    vocab,
    positions: positionRows - offset,
    types: flavour.untyped === true ? 0 : read.count("type_vocab_size"),
  };
  const hidden = read.rate(keys.dropout);
  const sinusoidal = config.sinusoidal_pos_embds === true;
  const drawing: Drawing = { std: read.positive("initializer_range"), padding, positionRows, sinusoidal };
  return {
    dimensions,
    tied: read.flag("tie_word_embeddings"),
    settings: {
      eps: flavour.eps ?? read.positive("layer_norm_eps"),
      activation: read.activation(keys.activation),
      transform: flavour.lm.activation,
      attentionScale: 1 / Math.sqrt(dimensions.headWidth),
      dropout: { embedding: hidden, attention: read.rate(keys.attentionDropout), hidden },
    },
    table: (outputs, base) => encoderTable(flavour, dimensions, drawing, outputs, base),
  };
}

function encoderTable(
  flavour: Flavour,
  d: Dimensions,
  drawing: Drawing,
  outputs: Outputs,
  base: string,
): readonly Parameter[] {
  const init: Init = { kind: "normal", std: drawing.std };
  const padded: Init = drawing.padding === null ? init : { ...init, padding: { row: drawing.padding, zero: true } };
  const counted = flavour.positionsAfterPadding ? padded : init;
  const positioned: Init = drawing.sinusoidal ? { kind: "sinusoid" } : counted;
  const names = flavour.names ?? bertNames;
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const units = out(["kv", d.heads], ["head", d.headWidth]);
  const fromUnits = reads(["kv", d.heads], ["head", d.headWidth]);
  const inner = out(["ffn", d.ffn]);
  const fromInner = reads(["ffn", d.ffn]);

  const entry: Place = { prefix: base, layer: null, group: "embedding" };
  const positions = out(["position", drawing.positionRows]);
  const table: Parameter[] = [
    matrix(entry, WORD, "embedding", [out(["vocab", d.vocab]), stream], padded),
    matrix(entry, "embeddings.position_embeddings.weight", "embedding", [positions, stream], positioned),
    ...(d.types === 0 ? [] : [matrix(entry, TYPES, "embedding", [out(["type", d.types]), stream], init)]),
    ...norm(entry, "embeddings.LayerNorm", stream, layerNorm("stream", "embedding")),
  ];
  for (let layer = 0; layer < d.layers; layer++) {
    const block: Place = { prefix: `${base}${names.blocks}.${layer}.`, layer, group: "block" };
    table.push(
      ...linearLayer(block, names.query, "branch-input", [units, fromStream], init),
      ...linearLayer(block, names.key, "branch-input", [units, fromStream], init),
      ...linearLayer(block, names.value, "branch-input", [units, fromStream], init),
      ...linearLayer(block, names.attention, "branch-output", [stream, fromUnits], init),
      ...norm(block, names.attentionNorm, stream, layerNorm("stream", "attention")),
      ...linearLayer(block, names.inner, "branch-input", [inner, fromStream], init),
      ...linearLayer(block, names.ffn, "branch-output", [stream, fromInner], init),
      ...norm(block, names.ffnNorm, stream, layerNorm("stream", "ffn")),
    );
  }
  if (outputs.pooler) {
    const pooler: Place = { prefix: base, layer: null, group: "head", output: "pooler" };
    table.push(...linearLayer(pooler, "pooler.dense", "head", [out(["pooler", d.hidden]), fromStream], init));
  }
  if (outputs.lm !== "none") {
    const head: Place = { prefix: "", layer: null, group: "head", output: "lm" };
    const [made, read] = [out(["transform", d.hidden]), reads(["transform", d.hidden])];
    const tied = outputs.lm === "tied";
    table.push(
      ...linearLayer(head, flavour.lm.dense, "head", [made, fromStream], init),
      ...norm(head, flavour.lm.norm, tied ? read : made, layerNorm("head", "transform")),
      ...(tied ? [] : [matrix(head, `${flavour.lm.decoder}.weight`, "head", [out(["vocab", d.vocab]), read], init)]),
      bias(head, flavour.lm.bias, "head", out(["vocab", d.vocab])),
    );
  }
  if (outputs.nsp && flavour.nsp !== undefined) {
    const head: Place = { prefix: "", layer: null, group: "head", output: "nsp" };
    table.push(...linearLayer(head, flavour.nsp, "head", [out(["label", 2]), reads(["pooler", d.hidden])], init));
  }
  return table;
}

function forward(flavour: Flavour, b: ProgramBuilder, model: Model, inputs: ForwardInputs, options: ForwardOptions) {
  const { lm, nsp } = flavour;
  const states = new ModelStates(b, model);
  const frame = new Frame(b, model, inputs, options, { inputMajor: false });
  const tables = {
    word: states.value(WORD),
    position: states.value("embeddings.position_embeddings.weight"),
    type: states.valueIf(TYPES) ?? undefined,
  };
  const sum = embed(frame, inputs, tables, firstPosition(flavour, model.config));
  const normed = frame.norm(sum, states.norm("embeddings.LayerNorm"));
  const hidden = [frame.entered(frame.dropout(normed, "embedding", "embedding"))];
  for (let layer = 0; layer < frame.layers; layer++) {
    hidden.push(postNormBlock(flavour, frame, hidden[layer], new ModelStates(b, model, layer), layer));
  }
  return {
    hidden,
    lmLogits: (rows: Value) => {
      const transformed = frame.activation(frame.linear(rows, states.linear(lm.dense)), model.settings.transform);
      const weight = model.outputs.lm === "untied" ? states.value(`${lm.decoder}.weight`) : tables.word;
      return frame.linear(frame.norm(transformed, states.norm(lm.norm)), { weight, bias: states.value(lm.bias) });
    },
    pooled: (first: Value) => tanh(b, frame.linear(first, states.linear("pooler.dense"))),
    ...(nsp === undefined ? {} : { nspLogits: (pooled: Value) => frame.linear(pooled, states.linear(nsp)) }),
  };
}

/** Attention, residual sum, norm; FFN, residual sum, norm. In the last block only the kept rows ask, and go on. */
function postNormBlock(
  { names = bertNames, keepsAttention }: Flavour,
  frame: Frame,
  stream: Value,
  states: ModelStates,
  layer: number,
): Value {
  const linear = (rows: Value, kind: string) => frame.linear(rows, states.linear(kind));
  const x = frame.entry(stream, layer);
  const kept = frame.kept(x, layer);
  const k = linear(x, names.key);
  const v = linear(x, names.value);
  const read = frame.attend(linear(kept, names.query), k, v, layer, { causal: false });
  const wrote = linear(read, names.attention);
  const attended = keepsAttention === true ? wrote : frame.dropout(wrote, "hidden", `${layer}/attention`);
  const middle = frame.norm(add(frame.b, attended, kept), states.norm(names.attentionNorm));
  const inner = frame.activation(linear(middle, names.inner));
  const written = frame.dropout(linear(inner, names.ffn), "hidden", `${layer}/ffn`);
  return frame.norm(add(frame.b, written, middle), states.norm(names.ffnNorm));
}

/** The row of the position table where counting begins. */
function firstPosition(flavour: Flavour, config: Json): number {
  return flavour.positionsAfterPadding ? Number(config.pad_token_id) + 1 : 0;
}

function positionsAfterPadding(model: Model, ids: Int32Array, length: number): Int32Array {
  const padding = Number(model.config.pad_token_id);
  const rows = new Int32Array(ids.length);
  for (let start = 0; start < ids.length; start += length) {
    let seen = 0;
    for (let i = start; i < start + length; i++) rows[i] = ids[i] === padding ? padding : padding + ++seen;
  }
  return rows;
}
