/** BERT (Devlin et al. 2019); transformers' BertModel and the models with its heads. */
import type { Architecture } from "./architecture.ts";
import { modelClass } from "./classes.ts";
import { encoderArchitecture, encoderDefaults } from "./encoder.ts";
import { spansHead, tokensHead } from "./task-head.ts";

export const bert: Architecture = encoderArchitecture({
  type: "bert",
  studied: true,
  // transformers' BertConfig.
  defaults: { ...encoderDefaults, model_type: "bert", pad_token_id: 0 },
  classes: [
    modelClass("BertForMaskedLM", "lm"),
    modelClass("BertForPreTraining", "lm", "pooler", "nsp"),
    modelClass("BertForNextSentencePrediction", "pooler", "nsp"),
    modelClass("BertModel", "pooler"),
  ],
  lm: {
    transform: { dense: "cls.predictions.transform.dense", norm: "cls.predictions.transform.LayerNorm" },
    bias: "cls.predictions.bias",
    decoder: "cls.predictions.decoder",
  },
  nsp: "cls.seq_relationship",
  taskHeads: {
    ...{ ...tokensHead("Bert"), ...spansHead("Bert") },
    sequence: {
      name: "BertForSequenceClassification",
      reads: "first",
      pooler: true,
      out: "classifier",
      bias: true,
      drops: ["out"],
    },
  },
});
