/**
 * RoBERTa: BERT's encoder with its own language-model head, no next-sentence head, and positions counted from the
 * padding id + 1 over what is not padding.
 *
 * Lineage: Liu et al., "RoBERTa" (2019); transformers' RobertaModel and RobertaForMaskedLM.
 */
import type { Architecture } from "./architecture.ts";
import { encoderArchitecture } from "./bert.ts";
import { modelClass } from "./classes.ts";

const maskedLM = modelClass("RobertaForMaskedLM", true, false, false);

export const roberta: Architecture = encoderArchitecture({
  type: "roberta",
  // transformers' RobertaConfig, less what does not concern the network.
  defaults: {
    model_type: "roberta",
    vocab_size: 50265,
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
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    tie_word_embeddings: true,
  },
  classes: [maskedLM, modelClass("RobertaModel", false, true, false)],
  defaultClass: maskedLM,
  lm: {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    bias: "lm_head.bias",
    decoder: "lm_head.decoder",
    // transformers' RobertaLMHead takes this one whatever the config's `hidden_act`.
    activation: "gelu-erf",
  },
  positionsAfterPadding: true,
});
