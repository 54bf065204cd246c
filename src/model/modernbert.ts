/**
 * ModernBERT: pre-norm encoder with rotary positions, gated FFN and layer norms without shifts; some blocks see all
 * positions, the others those near by, each kind with rotary positions of its own. A norm after the embeddings stands
 * for the first block's attention norm, which that block has not. Its language-model head is a transform before a decoder
 * tied to the embedding or not.
 *
 * Lineage: Warner et al., "Smarter, Better, Faster, Longer" (2024); transformers' ModernBertModel and
 * ModernBertForMaskedLM.
 */
import { isJsonObject, type Json } from "../util/json.ts";
import type { Architecture } from "./architecture.ts";
import { modelClass } from "./classes.ts";
import { FULL, SLIDING } from "./decoder.ts";
import { defineArchitecture } from "./define.ts";
import { ropeOf } from "./rope.ts";
import type { Dimensions } from "./table.ts";

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

const taskHead = {
  ...{ transform: true, out: "classifier", bias: true, config: { classifier_pooling: "cls" } },
  drops: ["out"] as const,
};

export const modernbert: Architecture = defineArchitecture({
  type: "modernbert",
  defaults,
  keys: {
    eps: "norm_eps",
    activation: "hidden_activation",
    embeddingDropout: "embedding_dropout",
    attentionDropout: "attention_dropout",
    dropout: "attention_dropout",
  },
  classes: [modelClass("ModernBertForMaskedLM", "lm"), modelClass("ModernBertModel")],
  names: {
    prefix: "model.",
    buffers: /^layers\.\d+\.attn\.rotary_emb\.inv_freq$/,
    tasks: /^classifier\./,
    shared: /^head\./,
  },
  taskHeads: {
    sequence: { ...taskHead, name: "ModernBertForSequenceClassification", reads: "first" },
    tokens: { ...taskHead, name: "ModernBertForTokenClassification", reads: "all" },
    spans: { ...taskHead, name: "ModernBertForQuestionAnswering", reads: "all" },
  },
  objective: "mlm",
  withKinds(config, kinds) {
    const { [EVERY]: _, ...rest } = config;
    const every = everyFor(kinds);
    return { ...rest, layer_types: [...kinds], ...(every === undefined ? {} : { [EVERY]: every }) };
  },
  remark: ({ config, kinds = [] }) =>
    inTurn(Number(config[EVERY] ?? USUAL), kinds.length).join() !== kinds.join()
      ? "Its blocks of local and global attention stand in an order that only `layer_types` in config.json says: transformers 5 reads it, transformers 4 would run other blocks over them."
      : undefined,
  network(config, read, dimensions) {
    // transformers makes no config of it without one.
    const layers = read.layers("num_hidden_layers", 1);
    const every = (config[EVERY] ?? null) === null ? USUAL : read.count(EVERY);
    const kinds = read.words("layer_types", [FULL, SLIDING], layers) ?? inTurn(every, layers);
    const window = Math.floor(read.count("local_attention") / 2);
    const forms = new Map(
      [...new Set(kinds)].map((kind) => {
        const rope = ropeFor(config, dimensions, kind);
        return [kind, { causal: false, rope, window: kind === SLIDING ? window : undefined }];
      }),
    );
    // What writes the stream, and all of the head, starts smaller.
    const narrower = Math.sqrt(2 * layers);
    const attended = read.flag("attention_bias");
    const inner = read.flag("mlp_bias");
    return {
      kinds,
      settings: { transform: read.activation("classifier_activation") },
      drawing: {
        std: read.positive("initializer_range"),
        cutoff: config.initializer_cutoff_factor === null ? 3 : read.positive("initializer_cutoff_factor"),
        writers: narrower,
        head: narrower,
        padding: read.padding(false),
      },
      embedding: { words: "embeddings.tok_embeddings.weight", norm: "embeddings.norm" },
      blocks: "layers",
      norm: { kind: "layer", shift: read.flag("norm_bias") },
      attention: {
        norm: "attn_norm",
        reads: ["attn.Wqkv"],
        writes: "attn.Wo",
        biases: { reads: attended, writes: attended },
        firstUnnormed: true,
      },
      attends: (kind) => forms.get(kind ?? FULL) ?? { causal: false },
      ffn: {
        norm: "mlp_norm",
        reads: ["mlp.Wi"],
        writes: "mlp.Wo",
        biases: { reads: inner, writes: inner },
        gated: true,
      },
      final: "final_norm",
      lm: {
        transform: { dense: "head.dense", norm: "head.norm", biased: read.flag("classifier_bias") },
        decoder: "decoder",
        bias: read.flag("decoder_bias") ? "decoder.bias" : undefined,
      },
    };
  },
});

function ropeFor(config: Json, { headWidth, positions }: Dimensions, kind: string) {
  const given = isJsonObject(config.rope_parameters) ? config.rope_parameters[kind] : undefined;
  const [key, theta] = THETAS[kind];
  const parameters = {
    rope_theta: config[key] ?? theta,
    ...(isJsonObject(given) ? given : {}),
    ...(isJsonObject(config.rope_scaling) ? config.rope_scaling : {}),
  };
  return ropeOf(parameters, headWidth, positions, "config.json");
}
