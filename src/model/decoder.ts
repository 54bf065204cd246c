/**
 * The family of Llama: pre-norm decoder with RMS norms, rotary positions, heads that may share keys and values, gated
 * FFN, head tied to the embedding or not. Its members differ in biases, norms of queries and keys, windows (Flavour).
 *
 * Lineage: Touvron et al., "Llama" (2023); transformers' LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM,
 * Qwen3ForCausalLM.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import { linear, rotations } from "../program/ops/index.ts";
import type { Json } from "../util/json.ts";
import type { Architecture, ForwardInputs, ForwardOptions, Model } from "./architecture.ts";
import { Frame, gatedBlock, lookUp } from "./blocks.ts";
import { modelClass } from "./classes.ts";
import type { ConfigReader } from "./config.ts";
import { defineArchitecture, type Network } from "./define.ts";
import { layerNorm, linearLayer, matrix, norm, out, type Place, reads, rmsNorm } from "./parameters.ts";
import { ropeOf, ropeParameters, turnedUnits } from "./rope.ts";
import { ModelStates } from "./states.ts";
import type { Dimensions, Init, Outputs, Parameter } from "./table.ts";
import { tokensHead } from "./task-head.ts";

/** What tells the members of the family apart. */
export interface Flavour {
  /** model_type. */
  readonly type: string;
  /** Of transformers' classes: "Llama" for LlamaForCausalLM. */
  readonly title: string;
  /** What transformers' configuration class fills in, beyond what the family shares. */
  readonly defaults: Json;
  /** Whether a head's width may be other than hidden size / heads. */
  readonly ownHeadWidth: boolean;
  /** Which linear layers have biases. */
  biases(read: ConfigReader): { readonly qkv: boolean; readonly output: boolean; readonly ffn: boolean };
  /** Whether queries and keys are normed head by head. */
  readonly queryNorms: boolean;
  /** Whether norms are LayerNorms with shifts, their eps `layer_norm_eps`, rather than RMS norms. */
  readonly layerNorms?: boolean;
  /** The share of a head's units that are turned, the first of them, where its config says none; absent: always all. */
  readonly turnedShare?: number;
  /**
   * Each block's kind as transformers' `layer_types` has them, where some see `sliding_window` positions alone, their own
   * included; undefined where none does.
   */
  kinds?(config: Json, read: ConfigReader, layers: number): readonly string[] | undefined;
  /** Whether its config has a list of kinds, so that a deeper model can say them. */
  readonly saysKinds?: boolean;
}

export const FULL = "full_attention";
export const SLIDING = "sliding_attention";

const WORD = "embed_tokens.weight";
const HEAD = "lm_head.weight";

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
  const keys = {
    layers: "num_hidden_layers",
    hidden: "hidden_size",
    heads: "num_attention_heads",
    kvHeads: "num_key_value_heads",
    ...(flavour.ownHeadWidth ? { headWidth: "head_dim" } : {}),
    ffn: "intermediate_size",
    eps: epsKey(flavour),
  };
  return defineArchitecture({
    type: flavour.type,
    defaults: { ...familyDefaults, ...flavour.defaults, model_type: flavour.type },
    keys,
    classes: [modelClass(`${flavour.title}ForCausalLM`, "lm"), modelClass(`${flavour.title}Model`)],
    names: {
      prefix: "model.",
      copies: { [HEAD]: WORD },
      // Angles, which older versions of transformers stored with every block.
      buffers: /^layers\.\d+\.self_attn\.rotary_emb\.inv_freq$/,
      tasks: /^(score|qa_outputs)\./,
    },
    untied: true,
    objective: "clm",
    taskHeads: {
      ...tokensHead(flavour.title, "score"),
      sequence: {
        ...{ name: `${flavour.title}ForSequenceClassification`, out: "score" },
        ...({ reads: "last", bias: false, drops: false } as const),
      },
    },
    read: (config, read) => readDecoder(flavour, config, read),
    ...(flavour.saysKinds !== true
      ? {}
      : { withKinds: (config: Json, kinds: readonly string[]) => ({ ...config, layer_types: [...kinds] }) }),
    forward: (b, model, inputs, options) => forward(flavour, b, model, inputs, options),
  });
}

function epsKey({ layerNorms }: Flavour): string {
  return layerNorms === true ? "layer_norm_eps" : "rms_norm_eps";
}

function readDecoder(flavour: Flavour, config: Json, read: ConfigReader): Network {
  const layers = read.layers("num_hidden_layers");
  const vocab = read.count("vocab_size");
  const padding = read.countOrNull("pad_token_id");
  if (padding !== null) read.below("pad_token_id", padding, vocab, "vocab_size");
  const dimensions: Dimensions = {
    layers,
    ...read.groupedAttention(flavour.ownHeadWidth),
    ffn: read.count("intermediate_size"),
    vocab,
    positions: read.count("max_position_embeddings"),
    types: 0,
  };
  const tied = read.flag("tie_word_embeddings");
  const std = read.positive("initializer_range");
  const biases = flavour.biases(read);
  // Said now rather than when a program is built.
  rope(flavour, config, dimensions);
  return {
    dimensions,
    tied,
    kinds: flavour.kinds?.(config, read, layers),
    settings: {
      eps: read.positive(epsKey(flavour)),
      activation: read.activation("hidden_act"),
      attentionScale: 1 / Math.sqrt(dimensions.headWidth),
      dropout: { embedding: 0, attention: read.rate("attention_dropout"), hidden: 0 },
    },
    table: (outputs, base) => decoderTable(flavour, dimensions, { std, padding, biases }, outputs, base),
  };
}

function rope({ turnedShare }: Flavour, config: Json, { headWidth, positions }: Dimensions) {
  const given = ropeParameters(config, THETA);
  if (turnedShare === undefined) return ropeOf(given, headWidth, positions, "config.json");
  const { partial_rotary_factor: share = config.partial_rotary_factor ?? turnedShare, ...rest } = given;
  return ropeOf(rest, turnedUnits(headWidth, share, "config.json"), positions, "config.json");
}

interface Drawing {
  /** Standard deviation of new weights. */
  readonly std: number;
  readonly padding: number | null;
  readonly biases: ReturnType<Flavour["biases"]>;
}

function decoderTable(
  flavour: Flavour,
  d: Dimensions,
  { std, padding, biases }: Drawing,
  outputs: Outputs,
  base: string,
): readonly Parameter[] {
  const init: Init = { kind: "normal", std };
  const normed = flavour.layerNorms === true ? layerNorm : rmsNorm;
  const padded: Init = padding === null ? init : { ...init, padding: { row: padding, zero: true } };
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const group = d.heads / d.kvHeads;
  const queries = out(["kv", d.kvHeads], ["group", group], ["head", d.headWidth]);
  const keys = out(["kv", d.kvHeads], ["head", d.headWidth]);
  const fromUnits = reads(["kv", d.kvHeads], ["group", group], ["head", d.headWidth]);
  const inner = out(["ffn", d.ffn]);
  const entry: Place = { prefix: base, layer: null, group: "embedding" };
  const table: Parameter[] = [matrix(entry, WORD, "embedding", [out(["vocab", d.vocab]), stream], padded)];
  for (let layer = 0; layer < d.layers; layer++) {
    const block: Place = { prefix: `${base}layers.${layer}.`, layer, group: "block" };
    const head = out(["head", d.headWidth]);
    table.push(
      ...norm(block, "input_layernorm", stream, normed("branch", "attention")),
      ...linearLayer(block, "self_attn.q_proj", "branch-input", [queries, fromStream], init, biases.qkv),
      ...linearLayer(block, "self_attn.k_proj", "branch-input", [keys, fromStream], init, biases.qkv),
      ...linearLayer(block, "self_attn.v_proj", "branch-input", [keys, fromStream], init, biases.qkv),
      ...(flavour.queryNorms ? norm(block, "self_attn.q_norm", head, rmsNorm("query", "query")) : []),
      ...(flavour.queryNorms ? norm(block, "self_attn.k_norm", head, rmsNorm("query", "key")) : []),
      ...linearLayer(block, "self_attn.o_proj", "branch-output", [stream, fromUnits], init, biases.output),
      ...norm(block, "post_attention_layernorm", stream, normed("branch", "ffn")),
      ...linearLayer(block, "mlp.gate_proj", "branch-input", [inner, fromStream], init, biases.ffn),
      ...linearLayer(block, "mlp.up_proj", "branch-input", [inner, fromStream], init, biases.ffn),
      ...linearLayer(block, "mlp.down_proj", "branch-output", [stream, reads(["ffn", d.ffn])], init, biases.ffn),
    );
  }
  // A tied head reads the embedding, whose units are copied when the network grows: what stands before it must share.
  const last = outputs.lm === "tied" ? fromStream : stream;
  table.push(...norm({ prefix: base, layer: null, group: "head" }, "norm", last, normed("head", "final")));
  if (outputs.lm === "untied") {
    const head: Place = { prefix: "", layer: null, group: "head", output: "lm" };
    table.push(matrix(head, HEAD, "head", [out(["vocab", d.vocab]), fromStream], init));
  }
  return table;
}

function forward(flavour: Flavour, b: ProgramBuilder, model: Model, inputs: ForwardInputs, options: ForwardOptions) {
  const states = new ModelStates(b, model);
  const frame = new Frame(b, model, inputs, options, { inputMajor: false });
  const { frequencies, scale } = rope(flavour, model.config, model.dimensions);
  const turns = rotations(b, frame.length, frequencies, scale);
  const word = states.value(WORD);
  const hidden = [frame.entered(lookUp(frame, inputs, word))];
  for (let layer = 0; layer < frame.layers; layer++) {
    const block = new ModelStates(b, model, layer);
    const parts = {
      attentionNorm: block.norm("input_layernorm"),
      queryNorm: block.normIf("self_attn.q_norm"),
      keyNorm: block.normIf("self_attn.k_norm"),
      attentionOutput: block.linear("self_attn.o_proj"),
      ffnNorm: block.norm("post_attention_layernorm"),
      ffnOutput: block.linear("mlp.down_proj"),
    };
    const readers = (...names: readonly string[]) => {
      const layers = names.map((name) => block.linear(name));
      return (x: Parameters<typeof frame.linear>[0]) => layers.map((one) => frame.linear(x, one));
    };
    const qkv = readers("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
    const gate = readers("mlp.gate_proj", "mlp.up_proj");
    const form = { causal: true, turns, window: windowOf(model, layer) };
    hidden.push(gatedBlock(frame, hidden[layer], parts, { qkv, gate }, layer, form));
  }
  hidden[frame.layers] = frame.norm(hidden[frame.layers], states.norm("norm"));
  const head = model.outputs.lm === "untied" ? states.value(HEAD) : word;
  return { hidden, lmLogits: (rows: typeof word) => linear(b, rows, head, null, { transposeWeight: true }) };
}

/** How far a block sees: transformers' window counts the position itself. */
function windowOf({ kinds, config }: Model, layer: number): number | undefined {
  return kinds?.[layer] === SLIDING ? Number(config.sliding_window) - 1 : undefined;
}
