/**
 * The family of Llama: pre-norm decoder with RMS norms, rotary positions, heads that may share keys and values, gated
 * FFN, head tied to the embedding or not. Its members differ in biases, norms of queries and keys, windows (Flavour).
 *
 * Lineage: Touvron et al., "Llama" (2023); transformers' LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM,
 * Qwen3ForCausalLM.
 */

import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import type { Architecture, Model } from "./architecture.ts";
import { modelClass } from "./classes.ts";
import type { ConfigReader } from "./config.ts";
import { type Definition, defineArchitecture } from "./define.ts";
import { ropeOf, ropeParameters, turnedUnits } from "./rope.ts";
import type { Dimensions } from "./table.ts";
import { spansHead, tokensHead } from "./task-head.ts";

/** What tells the members of the family apart. */
export interface Flavour extends Pick<Definition, "wholeHeads" | "optional"> {
  /** model_type. */
  readonly type: string;
  /** Of transformers' classes: "Llama" for LlamaForCausalLM. */
  readonly title: string;
  /**
   * What transformers' configuration class fills in, beyond what the family shares. With `head_dim` among them, or among
   * the optional keys, a head's width may be other than hidden size / heads, with `layer_types` the blocks' kinds may be any.
   */
  readonly defaults: Json;
  /** Which linear layers have biases; default none. */
  biases?(read: ConfigReader): { readonly qkv?: boolean; readonly output?: boolean; readonly ffn?: boolean };
  /** What stands before the network's names in its class for question answering; default, that of the past. */
  readonly spansPrefix?: string;
  /** Whether queries and keys are normed head by head. */
  readonly queryNorms?: boolean;
  /** Whether norms are LayerNorms with shifts, their eps `layer_norm_eps`, rather than RMS norms. */
  readonly layerNorms?: boolean;
  /** The share of a head's units that are turned, the first of them, where its config says none; absent: always all. */
  readonly turnedShare?: number;
  /**
   * Each block's kind as transformers' `layer_types` has them, where some see `sliding_window` positions alone, their own
   * included; undefined where none does.
   */
  kinds?(config: Json, read: ConfigReader, layers: number): readonly string[] | undefined;
}

export const FULL = "full_attention";
export const SLIDING = "sliding_attention";

const familyDefaults: Json = {
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: null,
  hidden_act: "silu",
  max_position_embeddings: 2048,
  initializer_range: 0.02,
  rms_norm_eps: 1e-6,
  attention_dropout: 0,
  tie_word_embeddings: false,
  pad_token_id: null,
};

/** The base of rotary positions where a config says none. */
const THETA = 10_000;

/** A member of the family, from what tells it apart. */
export function decoderArchitecture(flavour: Flavour): Architecture {
  const { type, title, spansPrefix = "transformer.", queryNorms = false, layerNorms = false } = flavour;
  const defaults = { ...familyDefaults, ...flavour.defaults, model_type: type };
  return defineArchitecture({
    type,
    defaults,
    wholeHeads: flavour.wholeHeads,
    optional: flavour.optional,
    keys: { eps: layerNorms ? "layer_norm_eps" : "rms_norm_eps", attentionDropout: "attention_dropout" },
    classes: [modelClass(`${title}ForCausalLM`, "lm"), modelClass(`${title}Model`)],
    names: {
      prefix: "model.",
      past: [[/^transformer\./, "model."]],
      // Angles, which older versions of transformers stored with every block.
      buffers: /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/,
      tasks: /^(score|qa_outputs)\./,
    },
    objective: "clm",
    taskHeads: {
      ...{ ...tokensHead(title, "score"), ...spansHead(title, { prefix: spansPrefix }) },
      sequence: { name: `${title}ForSequenceClassification`, out: "score", reads: "last", bias: false, drops: [] },
    },
    withKinds: Object.hasOwn(defaults, "layer_types")
      ? (config, kinds) => ({ ...config, layer_types: [...kinds] })
      : undefined,
    stretched,
    network(config, read, dimensions) {
      const { qkv = false, output = false, ffn = false } = flavour.biases?.(read) ?? {};
      const kinds = flavour.kinds?.(config, read, dimensions.layers);
      const rope = ropeFor(flavour, config, dimensions);
      // transformers' window counts the position itself.
      const window = Number(config.sliding_window) - 1;
      return {
        drawing: { std: read.positive("initializer_range"), padding: read.padding() },
        kinds,
        embedding: { words: "embed_tokens.weight", keeps: true },
        blocks: "layers",
        norm: layerNorms ? { kind: "layer", shift: true } : { kind: "rms", shift: false },
        attention: {
          norm: "input_layernorm",
          reads: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
          writes: "self_attn.o_proj",
          biases: { reads: qkv, writes: output },
          grouped: true,
          queryNorm: queryNorms ? "self_attn.q_norm" : undefined,
          keyNorm: queryNorms ? "self_attn.k_norm" : undefined,
        },
        attends: (kind) => ({ causal: true, rope, window: kind === SLIDING ? window : undefined }),
        ffn: {
          norm: "post_attention_layernorm",
          reads: ["mlp.gate_proj", "mlp.up_proj"],
          writes: "mlp.down_proj",
          biases: { reads: ffn, writes: ffn },
          gated: true,
        },
        final: "norm",
        lm: { decoder: "lm_head" },
      };
    },
  });
}

/** Written as transformers 5 has it. */
function stretched({ config, network }: Model, by: "interpolate" | "base", factor: number): Json {
  const { rope_theta: theta, rope_type = "default", ...given } = ropeParameters(config, THETA);
  if (rope_type !== "default" || Object.hasOwn(given, "type")) {
    const what = "rotary positions are scaled already";
    throw new UserError(what, "--positions-by", "take extend, or give the target's config (--to)");
  }
  const turned = 2 * (network.attends(undefined).rope?.frequencies.length ?? 0);
  const made: Json =
    by === "interpolate"
      ? { rope_theta: theta, rope_type: "linear", factor }
      : { rope_theta: Number(theta) * factor ** (turned / (turned - 2)), rope_type };
  const { rope_theta: _, rope_scaling: __, ...rest } = config;
  return { ...rest, rope_parameters: { ...given, ...made } };
}

function ropeFor({ turnedShare }: Flavour, config: Json, { headWidth, positions }: Dimensions) {
  const given = ropeParameters(config, THETA);
  if (turnedShare === undefined) return ropeOf(given, headWidth, positions, "config.json");
  const { partial_rotary_factor: share = config.partial_rotary_factor ?? turnedShare, ...rest } = given;
  return ropeOf(rest, turnedUnits(headWidth, share, "config.json"), positions, "config.json");
}
