/**
 * DistilBERT (Sanh et al. 2019): BERT's encoder with half the layers and without token types, pooler and next-sentence
 * head; transformers' DistilBertModel and DistilBertForMaskedLM.
 */
import type { Architecture } from "./architecture.ts";
import { modelClass } from "./classes.ts";
import { encoderArchitecture } from "./encoder.ts";
import { spansHead, tokensHead } from "./task-head.ts";

export const distilbert: Architecture = encoderArchitecture({
  type: "distilbert",
  // transformers' DistilBertConfig.
  defaults: {
    model_type: "distilbert",
    vocab_size: 30522,
    max_position_embeddings: 512,
    sinusoidal_pos_embds: false,
    n_layers: 6,
    n_heads: 12,
    dim: 768,
    hidden_dim: 3072,
    dropout: 0.1,
    attention_dropout: 0.1,
    activation: "gelu",
    initializer_range: 0.02,
    pad_token_id: 0,
    tie_word_embeddings: true,
  },
  keys: {
    layers: "n_layers",
    hidden: "dim",
    heads: "n_heads",
    ffn: "hidden_dim",
    activation: "activation",
    dropout: "dropout",
    embeddingDropout: "dropout",
    attentionDropout: "attention_dropout",
  },
  aliases: { hidden_size: "dim", num_attention_heads: "n_heads", num_hidden_layers: "n_layers" },
  eps: 1e-12,
  blocks: "transformer.layer",
  attention: {
    reads: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    writes: "attention.out_lin",
    norm: "sa_layer_norm",
    keeps: true,
  },
  ffn: { reads: ["ffn.lin1"], writes: "ffn.lin2", norm: "output_layer_norm" },
  classes: [modelClass("DistilBertForMaskedLM", "lm"), modelClass("DistilBertModel")],
  taskHeads: {
    ...{ ...tokensHead("DistilBert"), ...spansHead("DistilBert", { drops: ["out"] }) },
    sequence: {
      ...{ name: "DistilBertForSequenceClassification", reads: "first", bias: true, drops: ["out"] },
      ...{ dense: "pre_classifier", activation: "relu", out: "classifier" },
    },
  },
  lm: {
    transform: { dense: "vocab_transform", norm: "vocab_layer_norm" },
    bias: "vocab_projector.bias",
    decoder: "vocab_projector",
  },
});
