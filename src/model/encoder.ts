/**
 * The family of BERT: post-LN encoder, pooler, masked-language-model head tied to the token embedding, next-sentence
 * head. Its members differ in names, in which heads there are and in how positions are counted (Flavour).
 *
 * Lineage: Devlin et al., "BERT" (2019); transformers' BertModel, BertForPreTraining, BertForMaskedLM and
 * BertForNextSentencePrediction.
 */
import type { Json } from "../util/json.ts";
import type { Architecture } from "./architecture.ts";
import type { Activation } from "./config.ts";
import { type Definition, type Described, defineArchitecture } from "./define.ts";

/** What tells the members of the family apart, beside what every definition says. */
export interface Flavour extends Omit<Definition, "names" | "objective" | "network"> {
  /** What stands before the encoder's names in a model with heads, without its full stop; default the type. */
  readonly prefix?: string;
  /** Of the norms, where the config has no key for it. */
  readonly eps?: number;
  readonly attention?: Described["attention"];
  readonly ffn?: Described["ffn"];
  /** Default: BERT's. */
  readonly blocks?: string;
  readonly lm: Described["lm"];
  /** Of the head's transform; absent: the config's activation. */
  readonly transform?: Activation;
  /** Name of the next-sentence head, if there is one. */
  readonly nsp?: string;
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

/** A member of the family, from what tells it apart. */
export function encoderArchitecture(flavour: Flavour): Architecture {
  const { prefix = flavour.type, eps, lm, transform, nsp, blocks = "encoder.layer" } = flavour;
  return defineArchitecture({
    ...flavour,
    names: {
      prefix: `${prefix}.`,
      past: [
        [/\.gamma$/, ".weight"],
        [/\.beta$/, ".bias"],
      ],
      buffers: /^embeddings\.(position_ids|token_type_ids)$/,
      tasks: /^(pre_classifier|classifier|qa_outputs)\./,
    },
    objective: "mlm",
    network(config, read, { types }) {
      read.only("is_decoder", false, "a BERT that decodes is");
      read.only("add_cross_attention", false, "cross-attention is");
      read.only("position_embedding_type", "absolute", "relative positions are");
      const padding = read.padding();
      return {
        drawing: { std: read.positive("initializer_range"), padding },
        settings: { transform, ...(eps === undefined ? {} : { eps }) },
        embedding: {
          words: "embeddings.word_embeddings.weight",
          positions: {
            name: "embeddings.position_embeddings.weight",
            first: flavour.positionsAfterPadding ? (padding?.row ?? 0) + 1 : 0,
            sinusoidal: config.sinusoidal_pos_embds === true,
          },
          types: types === 0 ? undefined : "embeddings.token_type_embeddings.weight",
          norm: "embeddings.LayerNorm",
        },
        blocks,
        norm: { kind: "layer", shift: true },
        normsAfter: true,
        attention: flavour.attention ?? {
          reads: ["attention.self.query", "attention.self.key", "attention.self.value"],
          writes: "attention.output.dense",
          norm: "attention.output.LayerNorm",
        },
        attends: () => ({ causal: false }),
        ffn: flavour.ffn ?? { reads: ["intermediate.dense"], writes: "output.dense", norm: "output.LayerNorm" },
        pooler: "pooler.dense",
        lm,
        nsp,
      };
    },
  });
}
