/**
 * RoBERTa: BERT's encoder with its own language-model head, no next-sentence head, and positions counted from the
 * padding id + 1 over what is not padding.
 *
 * Lineage: Liu et al., "RoBERTa" (2019); transformers' RobertaModel and RobertaForMaskedLM.
 */
import type { Architecture } from "./architecture.ts";
import { modelClass } from "./classes.ts";
import { encoderArchitecture, encoderDefaults, type Flavour } from "./encoder.ts";
import { spansHead, tokensHead } from "./task-head.ts";

const head: Pick<Flavour, "lm" | "transform"> = {
  lm: {
    transform: { dense: "lm_head.dense", norm: "lm_head.layer_norm" },
    bias: "lm_head.bias",
    decoder: "lm_head.decoder",
  },
  // transformers' RobertaLMHead takes this one whatever the config's `hidden_act`.
  transform: "gelu-erf",
};

/** RobertaClassificationHead: a dense layer of its own on the first token, then the classes. */
const taskHeads = (title: string): Architecture["taskHeads"] => ({
  ...{ ...tokensHead(title), ...spansHead(title) },
  sequence: {
    ...{ name: `${title}ForSequenceClassification`, reads: "first", bias: true, drops: ["dense", "out"] },
    ...{ dense: "classifier.dense", out: "classifier.out_proj" },
  },
});

const special = { pad_token_id: 1, bos_token_id: 0, eos_token_id: 2 };

export const roberta: Architecture = encoderArchitecture({
  type: "roberta",
  // transformers' RobertaConfig.
  defaults: { ...encoderDefaults, model_type: "roberta", vocab_size: 50265, ...special },
  classes: [modelClass("RobertaForMaskedLM", "lm"), modelClass("RobertaModel", "pooler")],
  ...head,
  taskHeads: taskHeads("Roberta"),
  positionsAfterPadding: true,
});

/** XLM-RoBERTa (Conneau et al. 2020): RoBERTa, names included, with a vocabulary for a hundred languages. */
export const xlmRoberta: Architecture = encoderArchitecture({
  type: "xlm-roberta",
  prefix: "roberta",
  // transformers' XLMRobertaConfig.
  defaults: { ...encoderDefaults, model_type: "xlm-roberta", ...special },
  classes: [modelClass("XLMRobertaForMaskedLM", "lm"), modelClass("XLMRobertaModel", "pooler")],
  ...head,
  taskHeads: taskHeads("XLMRoberta"),
  positionsAfterPadding: true,
});
