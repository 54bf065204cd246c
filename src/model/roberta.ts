/**
 * RoBERTa: BERT's encoder with its own language-model head, no next-sentence head, and positions counted from the
 * padding id + 1 over what is not padding.
 *
 * Lineage: Liu et al., "RoBERTa" (2019); transformers' RobertaModel and RobertaForMaskedLM.
 */
import type { Architecture } from "./architecture.ts";
import { modelClass } from "./classes.ts";
import { encoderArchitecture, encoderDefaults } from "./encoder.ts";

export const roberta: Architecture = encoderArchitecture({
  type: "roberta",
  // transformers' RobertaConfig.
  defaults: {
    ...encoderDefaults,
    ...{ model_type: "roberta", vocab_size: 50265, pad_token_id: 1, bos_token_id: 0, eos_token_id: 2 },
  },
  classes: [modelClass("RobertaForMaskedLM", "lm"), modelClass("RobertaModel", "pooler")],
  lm: {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    bias: "lm_head.bias",
    decoder: "lm_head.decoder",
    // transformers' RobertaLMHead takes this one whatever the config's `hidden_act`.
    activation: "gelu-erf",
  },
  nsp: undefined,
  taskHeads: {
    sequence: {
      ...{ name: "RobertaForSequenceClassification", reads: "first", bias: true, drops: true },
      ...{ dense: "classifier.dense", out: "classifier.out_proj" },
    },
  },
  positionsAfterPadding: true,
});
