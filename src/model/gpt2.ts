/**
 * GPT-2: pre-LN decoder, fused q/k/v, weights stored input-major (transformers' Conv1D), head tied to the embedding.
 *
 * Lineage: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019); transformers' GPT2Model and
 * GPT2LMHeadModel.
 *
 * Before a tied head the final norm reads units rather than making them, as the MLM transform's norm does in BERT. A
 * checkpoint never stores the head, so `architectures` decides whether there is one.
 */
import { ProgramError } from "../program/graph.ts";
import { linear } from "../program/ops/index.ts";
import type { Json } from "../util/json.ts";
import type { Architecture, Spelling } from "./architecture.ts";
import { embed, Frame, preNormBlock } from "./blocks.ts";
import { classOf, type ModelClass, modelClass } from "./classes.ts";
import { ConfigReader } from "./config.ts";
import { linearLayer, matrix, norm, out, type Place, reads } from "./parameters.ts";
import { ModelStates } from "./states.ts";
import type { Dimensions, Heads, Init, Parameter } from "./table.ts";

const PREFIX = "transformer.";
const WORD = "wte.weight";

const languageModel = modelClass("GPT2LMHeadModel", true, false, false);
const classes: readonly ModelClass[] = [languageModel, modelClass("GPT2Model", false, false, false)];

/** transformers' GPT2Config, less what does not concern the network. */
const defaults: Json = {
  model_type: "gpt2",
  vocab_size: 50257,
  n_positions: 1024,
  n_embd: 768,
  n_layer: 12,
  n_head: 12,
  n_inner: null,
  activation_function: "gelu_new",
  resid_pdrop: 0.1,
  embd_pdrop: 0.1,
  attn_pdrop: 0.1,
  layer_norm_epsilon: 1e-5,
  initializer_range: 0.02,
  scale_attn_weights: true,
  bos_token_id: 50256,
  eos_token_id: 50256,
  tie_word_embeddings: true,
};

function decoderTable(d: Dimensions, std: number, heads: Heads): readonly Parameter[] {
  const base = heads.lm ? PREFIX : "";
  const init: Init = { kind: "normal", std };
  // What writes the stream starts smaller, for the 2 · layers branches that add up in it.
  const residual: Init = { kind: "normal", std: std / Math.sqrt(2 * d.layers) };
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const qkv = out(["fused", 3], ["kv", d.heads], ["head", d.headWidth]);
  const inner = out(["ffn", d.ffn]);
  const entry: Place = { prefix: base, layer: null, group: "embedding" };
  const table: Parameter[] = [
    matrix(entry, WORD, "embedding", [out(["vocab", d.vocab]), stream], init),
    matrix(entry, "wpe.weight", "embedding", [out(["position", d.positions]), stream], init),
  ];
  for (let layer = 0; layer < d.layers; layer++) {
    const block: Place = { prefix: `${base}h.${layer}.`, layer, group: "block" };
    table.push(
      ...norm(block, "ln_1", stream, { place: "branch", of: "attention" }),
      ...linearLayer(block, "attn.c_attn", "branch-input", [fromStream, qkv], qkv, init),
      ...linearLayer(
        block,
        "attn.c_proj",
        "branch-output",
        [reads(["kv", d.heads], ["head", d.headWidth]), stream],
        stream,
        residual,
      ),
      ...norm(block, "ln_2", stream, { place: "branch", of: "ffn" }),
      ...linearLayer(block, "mlp.c_fc", "branch-input", [fromStream, inner], inner, init),
      ...linearLayer(block, "mlp.c_proj", "branch-output", [reads(["ffn", d.ffn]), stream], stream, residual),
    );
  }
  const final: Place = { prefix: base, layer: null, group: "head" };
  const last = heads.lm ? fromStream : stream;
  return [...table, ...norm(final, "ln_f", last, { place: "head", of: "final" })];
}

const one: Dimensions = {
  layers: 1,
  hidden: 1,
  heads: 1,
  kvHeads: 1,
  headWidth: 1,
  ffn: 1,
  vocab: 1,
  positions: 1,
  types: 1,
};
const known = decoderTable(one, 1, languageModel.heads);
const blockKinds = new Set(known.filter((parameter) => parameter.layer !== null).map((parameter) => parameter.kind));
const otherKinds = new Set(known.filter((parameter) => parameter.layer === null).map((parameter) => parameter.kind));

function spelling(stored: string, heads: Heads): Spelling {
  const base = heads.lm ? PREFIX : "";
  if (stored === "lm_head.weight") return heads.lm ? { kind: "copy", of: base + WORD } : { kind: "ignored" };
  const name = stored.startsWith(PREFIX) ? stored.slice(PREFIX.length) : stored;
  // The causal mask and its filler, which older versions of transformers stored with every block.
  if (/^h\.\d+\.attn\.(bias|masked_bias)$/.test(name)) return { kind: "ignored" };
  const block = /^h\.\d+\.(.+)$/.exec(name);
  const isParameter = block === null ? otherKinds.has(name) : blockKinds.has(block[1]);
  return isParameter ? { kind: "parameter", name: base + name } : { kind: "unknown" };
}

/** A config with the names every transformers model has (hidden_size, …) under GPT-2's own. */
function ownKeys(config: Json): Json {
  const aliases: Readonly<Record<string, string>> = {
    hidden_size: "n_embd",
    num_hidden_layers: "n_layer",
    num_attention_heads: "n_head",
    max_position_embeddings: "n_positions",
  };
  return Object.fromEntries(
    Object.entries(config)
      .filter(([key]) => !(key in aliases && aliases[key] in config))
      .map(([key, value]) => [aliases[key] ?? key, value]),
  );
}

function inner(config: Json): number | undefined {
  return typeof config.n_inner === "number" ? config.n_inner : undefined;
}

export const gpt2: Architecture = {
  type: "gpt2",
  spelling,

  model(given, where, chosen) {
    const config: Json = { ...defaults, ...ownKeys(given) };
    const read = new ConfigReader(config, where);
    read.only("add_cross_attention", false, "cross-attention is");
    read.only("scale_attn_by_inverse_layer_idx", false, "attention scaled by the layer's number is");
    read.only("reorder_and_upcast_attn", false, "reordered attention is");
    read.only("tie_word_embeddings", true, "a head not tied to the embeddings is");
    const named = read.className(classes.map((candidate) => candidate.name));
    const heads = chosen ?? classes.find((candidate) => candidate.name === named)?.heads ?? languageModel.heads;
    const attention = read.attention("n_embd", "n_head");
    const dimensions: Dimensions = {
      layers: read.layers("n_layer"),
      ...attention,
      ffn: config.n_inner === null ? 4 * attention.hidden : read.count("n_inner"),
      vocab: read.count("vocab_size"),
      positions: read.count("n_positions"),
      types: 0,
    };
    const std = read.positive("initializer_range");
    return {
      architecture: gpt2,
      config: { ...config, architectures: [classOf(classes, heads)?.name ?? languageModel.name] },
      dimensions,
      heads,
      parameters: decoderTable(dimensions, std, heads),
      settings: {
        eps: read.positive("layer_norm_epsilon"),
        activation: read.activation("activation_function"),
        norm: "pre",
        attentionScale: read.flag("scale_attn_weights") ? 1 / Math.sqrt(attention.headWidth) : 1,
        dropout: {
          embedding: read.rate("embd_pdrop"),
          attention: read.rate("attn_pdrop"),
          hidden: read.rate("resid_pdrop"),
        },
      },
    };
  },

  headsStored(config, where) {
    const named = new ConfigReader(config, where).className(classes.map((candidate) => candidate.name));
    return classes.find((candidate) => candidate.name === named)?.heads ?? languageModel.heads;
  },

  resize(given, to) {
    const config = ownKeys(given);
    const before = typeof config.n_embd === "number" ? config.n_embd : 768;
    const hidden = to.hidden ?? before;
    const ffn = to.ffn ?? inner(config) ?? 4 * before;
    return {
      ...config,
      n_embd: hidden,
      ...(to.layers === undefined ? {} : { n_layer: to.layers }),
      ...(to.heads === undefined ? {} : { n_head: to.heads }),
      n_inner: ffn === 4 * hidden ? null : ffn,
      ...(to.eps === undefined ? {} : { layer_norm_epsilon: to.eps }),
    };
  },

  objectives: (heads) => (heads.lm ? ["clm"] : []),

  positions: () => undefined,

  forward(b, model, inputs, options) {
    const base = model.heads.lm ? PREFIX : "";
    const states = new ModelStates(b, model);
    const frame = new Frame(b, model, inputs, options, { inputMajor: true });
    const word = states.value(base + WORD);
    const embedded = embed(frame, inputs, { word, position: states.value(`${base}wpe.weight`) }, 0);
    const hidden = [frame.dropout(embedded, "embedding", "embedding")];
    for (let layer = 0; layer < frame.layers; layer++) {
      const name = `${base}h.${layer}.`;
      const block = {
        attentionNorm: states.norm(`${name}ln_1`),
        qkv: states.linear(`${name}attn.c_attn`),
        attentionOutput: states.linear(`${name}attn.c_proj`),
        ffnNorm: states.norm(`${name}ln_2`),
        ffnInput: states.linear(`${name}mlp.c_fc`),
        ffnOutput: states.linear(`${name}mlp.c_proj`),
      };
      hidden.push(preNormBlock(frame, hidden[layer], block, layer));
    }
    hidden[frame.layers] = frame.norm(hidden[frame.layers], states.norm(`${base}ln_f`));
    return {
      hidden,
      lmLogits: (rows) => linear(b, rows, word, null, { transposeWeight: true }),
      pooled: () => {
        throw new ProgramError("gpt2 has no pooler");
      },
      nspLogits: () => {
        throw new ProgramError("gpt2 has no next-sentence head");
      },
    };
  },
};
