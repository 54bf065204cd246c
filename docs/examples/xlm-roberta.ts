/**
 * XLM-RoBERTa (Conneau et al. 2020): RoBERTa with a vocabulary for a hundred languages; transformers'
 * XLMRobertaModel and XLMRobertaForMaskedLM, whose parameters keep RoBERTa's names.
 * `npx vitest run test/model/example.test.ts` runs it.
 */
import type { Architecture } from "../../src/model/architecture.ts";
import { modelClass } from "../../src/model/classes.ts";
import { encoderArchitecture, encoderDefaults } from "../../src/model/encoder.ts";

export const xlmRoberta: Architecture = encoderArchitecture({
  type: "xlm-roberta",
  prefix: "roberta",
  // transformers' XLMRobertaConfig.
  defaults: {
    ...encoderDefaults,
    ...{ model_type: "xlm-roberta", pad_token_id: 1, bos_token_id: 0, eos_token_id: 2 },
  },
  classes: [modelClass("XLMRobertaForMaskedLM", "lm"), modelClass("XLMRobertaModel", "pooler")],
  lm: {
    dense: "lm_head.dense",
    norm: "lm_head.layer_norm",
    bias: "lm_head.bias",
    decoder: "lm_head.decoder",
    activation: "gelu-erf",
  },
  nsp: undefined,
  positionsAfterPadding: true,
});
