/**
 * XLM-RoBERTa (Conneau et al. 2020): RoBERTa with a vocabulary for a hundred languages; transformers'
 * XLMRobertaModel and XLMRobertaForMaskedLM, whose parameters keep RoBERTa's names.
 */
import type { Architecture } from "../../src/model/architecture.ts";
import { encoderArchitecture } from "../../src/model/bert.ts";
import { modelClass } from "../../src/model/classes.ts";

const maskedLM = modelClass("XLMRobertaForMaskedLM", true, false, false);

export const xlmRoberta: Architecture = encoderArchitecture({
  type: "xlm-roberta",
  prefix: "roberta",
  // transformers' XLMRobertaConfig.
  defaults: {
    model_type: "xlm-roberta",
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
    pad_token_id: 1,
    bos_token_id: 0,
    eos_token_id: 2,
    tie_word_embeddings: true,
  },
  classes: [maskedLM, modelClass("XLMRobertaModel", false, true, false)],
  defaultClass: maskedLM,
  lm: {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    bias: "lm_head.bias",
    decoder: "lm_head.decoder",
    activation: "gelu-erf",
  },
  positionsAfterPadding: true,
});
