/**
 * GPT-2: pre-LN decoder, fused q/k/v, weights stored input-major (transformers' Conv1D), head tied to the embedding.
 *
 * Lineage: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019); transformers' GPT2Model and
 * GPT2LMHeadModel.
 *
 * A checkpoint seldom stores a tied head, so `architectures` decides whether there is one.
 */
import type { Json } from "../util/json.ts";
import type { Architecture } from "./architecture.ts";
import { modelClass } from "./classes.ts";
import { defineArchitecture, ownKeys, resized } from "./define.ts";
import { spansHead, tokensHead } from "./task-head.ts";

/** transformers' GPT2Config, less what does not concern the network. */
const defaults: Json = {
  model_type: "gpt2",
  vocab_size: 50257,
  n_positions: 1024,
  n_embd: 768,
  n_layer: 12,
  n_head: 12,
  n_inner: null,
  activation_function: "gelu_new",
  resid_pdrop: 0.1,
  embd_pdrop: 0.1,
  attn_pdrop: 0.1,
  layer_norm_epsilon: 1e-5,
  initializer_range: 0.02,
  scale_attn_weights: true,
  bos_token_id: 50256,
  eos_token_id: 50256,
  tie_word_embeddings: true,
};

const keys = {
  layers: "n_layer",
  hidden: "n_embd",
  heads: "n_head",
  ffn: "n_inner",
  vocab: "vocab_size",
  positions: "n_positions",
  eps: "layer_norm_epsilon",
  activation: "activation_function",
  dropout: "resid_pdrop",
  embeddingDropout: "embd_pdrop",
  attentionDropout: "attn_pdrop",
};

/** The names that every transformers model has, for GPT-2's own. */
const aliases = {
  hidden_size: "n_embd",
  num_hidden_layers: "n_layer",
  num_attention_heads: "n_head",
  max_position_embeddings: "n_positions",
};

/** Without a number of inner units there are four times as many as the stream has. */
function filled(config: Json): Json {
  return config.n_inner === null ? { ...config, n_inner: 4 * Number(config.n_embd) } : config;
}

export const gpt2: Architecture = defineArchitecture({
  type: "gpt2",
  studied: true,
  defaults,
  aliases,
  keys,
  filled,
  classes: [modelClass("GPT2LMHeadModel", "lm"), modelClass("GPT2Model")],
  names: {
    prefix: "transformer.",
    // The causal mask and its filler, which older versions of transformers stored with every block.
    buffers: /^h\.\d+\.attn\.(bias|masked_bias)$/,
    tasks: /^(score|classifier|qa_outputs)\./,
    beside: /^multiple_choice_head\./,
  },
  taskHeads: {
    ...{ ...tokensHead("GPT2"), ...spansHead("GPT2") },
    sequence: { name: "GPT2ForSequenceClassification", reads: "last", out: "score", bias: false, drops: [] },
  },
  objective: "clm",

  network(_, read, { layers }) {
    read.only("add_cross_attention", false, "cross-attention is");
    read.only("scale_attn_by_inverse_layer_idx", false, "attention scaled by the layer's number is");
    return {
      inputMajor: true,
      settings: read.flag("scale_attn_weights") ? {} : { attentionScale: 1 },
      // What writes the stream starts smaller, for the 2 · layers branches that add up in it.
      drawing: { std: read.positive("initializer_range"), writers: Math.sqrt(2 * layers) },
      embedding: { words: "wte.weight", positions: { name: "wpe.weight", first: 0 } },
      blocks: "h",
      norm: { kind: "layer", shift: true },
      attention: { norm: "ln_1", reads: ["attn.c_attn"], writes: "attn.c_proj" },
      attends: () => ({ causal: true }),
      ffn: { norm: "ln_2", reads: ["mlp.c_fc"], writes: "mlp.c_proj" },
      final: "ln_f",
      lm: { decoder: "lm_head" },
    };
  },

  resize(given, to) {
    const { n_embd, n_inner } = defaults;
    const made = resized(keys, defaults, filled({ n_embd, n_inner, ...ownKeys(aliases, given) }), to);
    return made.n_inner === 4 * Number(made.n_embd) ? { ...made, n_inner: null } : made;
  },
});
