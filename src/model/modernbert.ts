/**
 * ModernBERT: pre-norm encoder with rotary positions, gated FFN and layer norms without shifts; some blocks see all
 * positions, the others those near by, each kind with rotary positions of its own. A norm after the embeddings stands
 * for the first block's attention norm, which that block has not. Its language-model head is a transform before a decoder
 * tied to the embedding or not.
 *
 * Lineage: Warner et al., "Smarter, Better, Faster, Longer" (2024); transformers' ModernBertModel and
 * ModernBertForMaskedLM.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import type { Value } from "../program/graph.ts";
import { rotations, split } from "../program/ops/index.ts";
import { isJsonObject, type Json } from "../util/json.ts";
import type { Architecture, ForwardInputs, ForwardOptions, Model } from "./architecture.ts";
import { Frame, gatedBlock, lookUp } from "./blocks.ts";
import { modelClass } from "./classes.ts";
import type { ConfigReader } from "./config.ts";
import { FULL, SLIDING } from "./decoder.ts";
import { defineArchitecture, type Network } from "./define.ts";
import { bias, layerNorm, linearLayer, matrix, norm, out, type Place, reads } from "./parameters.ts";
import { ropeOf } from "./rope.ts";
import { ModelStates } from "./states.ts";
import type { Dimensions, Init, Outputs, Parameter } from "./table.ts";

const WORD = "embeddings.tok_embeddings.weight";
const DECODER = "decoder.weight";

/** transformers' ModernBertConfig, less what does not concern the network or has two spellings. */
const defaults: Json = {
  model_type: "modernbert",
  vocab_size: 50368,
  hidden_size: 768,
  intermediate_size: 1152,
  num_hidden_layers: 22,
  num_attention_heads: 12,
  hidden_activation: "gelu",
  max_position_embeddings: 8192,
  initializer_range: 0.02,
  initializer_cutoff_factor: 2,
  norm_eps: 1e-5,
  norm_bias: false,
  pad_token_id: 50283,
  eos_token_id: 50282,
  bos_token_id: 50281,
  cls_token_id: 50281,
  sep_token_id: 50282,
  attention_bias: false,
  attention_dropout: 0,
  local_attention: 128,
  embedding_dropout: 0,
  mlp_bias: false,
  mlp_dropout: 0,
  decoder_bias: true,
  classifier_bias: false,
  classifier_activation: "gelu",
  tie_word_embeddings: true,
};

/** The bases of rotary positions where a config says none. */
const THETAS: Readonly<Record<string, readonly [key: string, theta: number]>> = {
  [FULL]: ["global_rope_theta", 160_000],
  [SLIDING]: ["local_rope_theta", 10_000],
};

/** Every so many blocks one sees all, the first among them: transformers 4 can say no other order. */
const EVERY = "global_attn_every_n_layers";
const USUAL = 3;

const inTurn = (every: number, layers: number) =>
  Array.from({ length: layers }, (_, layer) => (layer % every === 0 ? FULL : SLIDING));

/** The number for these kinds; undefined where none gives them. */
function everyFor(kinds: readonly string[]): number | undefined {
  const second = kinds.indexOf(FULL, 1);
  const every = second < 0 ? Math.max(2, kinds.length) : second;
  return inTurn(every, kinds.length).join() === kinds.join() ? every : undefined;
}

export const modernbert: Architecture = defineArchitecture({
  type: "modernbert",
  defaults,
  keys: {
    layers: "num_hidden_layers",
    hidden: "hidden_size",
    heads: "num_attention_heads",
    ffn: "intermediate_size",
    eps: "norm_eps",
  },
  classes: [modelClass("ModernBertForMaskedLM", "lm"), modelClass("ModernBertModel")],
  names: {
    prefix: "model.",
    copies: { [DECODER]: WORD },
    buffers: /^layers\.\d+\.attn\.rotary_emb\.inv_freq$/,
    tasks: /^classifier\./,
    shared: /^head\./,
  },
  untied: true,
  objective: "mlm",
  read: (config, reader) => readNetwork(config, reader),
  withKinds(config, kinds) {
    const { [EVERY]: _, ...rest } = config;
    const every = everyFor(kinds);
    return { ...rest, layer_types: [...kinds], ...(every === undefined ? {} : { [EVERY]: every }) };
  },
  remark: ({ config, kinds = [] }) =>
    inTurn(Number(config[EVERY] ?? USUAL), kinds.length).join() !== kinds.join()
      ? "Its blocks of local and global attention stand in an order that only `layer_types` in config.json says: transformers 5 reads it, transformers 4 would run other blocks over them."
      : undefined,
  forward,
});

function readNetwork(config: Json, read: ConfigReader): Network {
  // transformers makes no config of it without one.
  const layers = read.layers("num_hidden_layers", 1);
  const vocab = read.count("vocab_size");
  const attention = read.attention("hidden_size", "num_attention_heads");
  read.paired("hidden_size", attention.headWidth);
  const dimensions: Dimensions = {
    layers,
    ...attention,
    ffn: read.count("intermediate_size"),
    vocab,
    positions: read.count("max_position_embeddings"),
    types: 0,
  };
  const every = (config[EVERY] ?? null) === null ? USUAL : read.count(EVERY);
  const kinds = read.words("layer_types", [FULL, SLIDING], layers) ?? inTurn(every, layers);
  // Said now rather than when a program is built.
  for (const kind of new Set(kinds)) rope(config, dimensions, kind);
  read.count("local_attention");
  const drawing = drawingOf(read, config, vocab);
  const attended = read.rate("attention_dropout");
  return {
    dimensions,
    tied: read.flag("tie_word_embeddings"),
    kinds,
    settings: {
      eps: read.positive("norm_eps"),
      activation: read.activation("hidden_activation"),
      transform: read.activation("classifier_activation"),
      attentionScale: 1 / Math.sqrt(dimensions.headWidth),
      dropout: {
        embedding: read.rate("embedding_dropout"),
        attention: attended,
        hidden: attended,
        inner: read.rate("mlp_dropout"),
      },
    },
    table: (outputs, base) => tableOf(dimensions, drawing, outputs, base),
  };
}

/** What the table needs beyond the dimensions. */
function drawingOf(read: ConfigReader, config: Json, vocab: number) {
  const padding = read.countOrNull("pad_token_id");
  if (padding !== null) read.below("pad_token_id", padding, vocab, "vocab_size");
  return {
    padding,
    std: read.positive("initializer_range"),
    /** In standard deviations. */
    cutoff: config.initializer_cutoff_factor === null ? 3 : read.positive("initializer_cutoff_factor"),
    biases: {
      norms: read.flag("norm_bias"),
      attention: read.flag("attention_bias"),
      ffn: read.flag("mlp_bias"),
      transform: read.flag("classifier_bias"),
      decoder: read.flag("decoder_bias"),
    },
  };
}

function rope(config: Json, { headWidth, positions }: Dimensions, kind: string) {
  const given = isJsonObject(config.rope_parameters) ? config.rope_parameters[kind] : undefined;
  const [key, theta] = THETAS[kind];
  const parameters = {
    rope_theta: config[key] ?? theta,
    ...(isJsonObject(given) ? given : {}),
    ...(isJsonObject(config.rope_scaling) ? config.rope_scaling : {}),
  };
  return ropeOf(parameters, headWidth, positions, "config.json");
}

function tableOf(
  d: Dimensions,
  { std, cutoff, padding, biases }: ReturnType<typeof drawingOf>,
  outputs: Outputs,
  base: string,
) {
  const init: Init = { kind: "normal", std, cutoff };
  // What writes the stream, and all of the head, starts smaller.
  const narrow: Init = { ...init, std: std / Math.sqrt(2 * d.layers) };
  const words: Init = padding === null ? init : { ...init, padding: { row: padding, zero: false } };
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const qkv = out(["fused", 3], ["kv", d.heads], ["head", d.headWidth]);
  const fromUnits = reads(["kv", d.heads], ["head", d.headWidth]);
  const gated = out(["fused", 2], ["ffn", d.ffn]);
  const entry: Place = { prefix: base, layer: null, group: "embedding" };
  const table: Parameter[] = [
    matrix(entry, WORD, "embedding", [out(["vocab", d.vocab]), stream], words),
    ...norm(entry, "embeddings.norm", stream, layerNorm("stream", "embedding", biases.norms)),
  ];
  for (let layer = 0; layer < d.layers; layer++) {
    const block: Place = { prefix: `${base}layers.${layer}.`, layer, group: "block" };
    table.push(
      ...(layer === 0 ? [] : norm(block, "attn_norm", stream, layerNorm("branch", "attention", biases.norms))),
      ...linearLayer(block, "attn.Wqkv", "branch-input", [qkv, fromStream], init, biases.attention),
      ...linearLayer(block, "attn.Wo", "branch-output", [stream, fromUnits], narrow, biases.attention),
      ...norm(block, "mlp_norm", stream, layerNorm("branch", "ffn", biases.norms)),
      ...linearLayer(block, "mlp.Wi", "branch-input", [gated, fromStream], init, biases.ffn),
      ...linearLayer(block, "mlp.Wo", "branch-output", [stream, reads(["ffn", d.ffn])], narrow, biases.ffn),
    );
  }
  const final: Place = { prefix: base, layer: null, group: "head" };
  table.push(...norm(final, "final_norm", stream, layerNorm("head", "final", biases.norms)));
  if (outputs.lm === "none") return table;
  const head: Place = { prefix: "", layer: null, group: "head", output: "lm" };
  const [made, read] = [out(["transform", d.hidden]), reads(["transform", d.hidden])];
  const tied = outputs.lm === "tied";
  table.push(
    ...linearLayer(head, "head.dense", "head", [made, fromStream], narrow, biases.transform),
    ...norm(head, "head.norm", tied ? read : made, layerNorm("head", "transform", biases.norms)),
    ...(tied ? [] : [matrix(head, DECODER, "head", [out(["vocab", d.vocab]), read], narrow)]),
    ...(biases.decoder ? [bias(head, "decoder.bias", "head", out(["vocab", d.vocab]))] : []),
  );
  return table;
}

function forward(b: ProgramBuilder, model: Model, inputs: ForwardInputs, options: ForwardOptions) {
  const { config, dimensions, kinds = [] } = model;
  const states = new ModelStates(b, model);
  const frame = new Frame(b, model, inputs, options, { inputMajor: false });
  const word = states.value(WORD);
  const window = Math.floor(Number(config.local_attention) / 2);
  const forms = new Map(
    [...new Set(kinds.slice(0, frame.layers))].map((kind) => {
      const { frequencies, scale } = rope(config, dimensions, kind);
      const turns = rotations(b, frame.length, frequencies, scale);
      return [kind, { causal: false, turns, window: kind === SLIDING ? window : undefined }];
    }),
  );
  const embedded = frame.norm(lookUp(frame, inputs, word), states.norm("embeddings.norm"));
  const hidden = [frame.dropout(embedded, "embedding", "embedding")];
  for (let layer = 0; layer < frame.layers; layer++) {
    const block = new ModelStates(b, model, layer);
    const parts = {
      attentionNorm: block.normIf("attn_norm"),
      attentionOutput: block.linear("attn.Wo"),
      ffnNorm: block.norm("mlp_norm"),
      ffnOutput: block.linear("mlp.Wo"),
    };
    const reader = (name: string, count: number) => (x: Value) =>
      split(b, frame.linear(x, block.linear(name)), 1, count);
    const readers = { qkv: reader("attn.Wqkv", 3), gate: reader("mlp.Wi", 2) };
    hidden.push(gatedBlock(frame, hidden[layer], parts, readers, layer, forms.get(kinds[layer]) ?? { causal: false }));
  }
  hidden[frame.layers] = frame.norm(hidden[frame.layers], states.norm("final_norm"));
  return {
    hidden,
    lmLogits: (rows: Value) => {
      const transformed = frame.activation(frame.linear(rows, states.linear("head.dense")), model.settings.transform);
      const weight = model.outputs.lm === "untied" ? states.value(DECODER) : word;
      return frame.linear(frame.norm(transformed, states.norm("head.norm")), {
        weight,
        bias: states.valueIf("decoder.bias"),
      });
    },
  };
}
