/**
 * GPT-2: pre-LN decoder, fused q/k/v, weights stored input-major (transformers' Conv1D), head tied to the embedding.
 *
 * Lineage: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019); transformers' GPT2Model and
 * GPT2LMHeadModel.
 *
 * Before a tied head the final norm reads units rather than making them, as the MLM transform's norm does in BERT. A
 * checkpoint seldom stores a tied head, so `architectures` decides whether there is one.
 */
import type { Value } from "../program/graph.ts";
import { add, linear, split } from "../program/ops/index.ts";
import type { Json } from "../util/json.ts";
import type { Architecture } from "./architecture.ts";
import { embed, Frame } from "./blocks.ts";
import { modelClass } from "./classes.ts";
import { defineArchitecture, ownKeys, resized } from "./define.ts";
import { layerNorm, linearLayer, matrix, norm, out, type Place, reads } from "./parameters.ts";
import { ModelStates } from "./states.ts";
import type { Dimensions, Init, Outputs, Parameter } from "./table.ts";
import { spansHead, tokensHead } from "./task-head.ts";

const WORD = "wte.weight";
const HEAD = "lm_head.weight";

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

function decoderTable(d: Dimensions, std: number, outputs: Outputs, base: string): readonly Parameter[] {
  const init: Init = { kind: "normal", std };
  // What writes the stream starts smaller, for the 2 · layers branches that add up in it.
  const residual: Init = { kind: "normal", std: std / Math.sqrt(2 * d.layers) };
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const qkv = out(["fused", 3], ["kv", d.heads], ["head", d.headWidth]);
  const fromUnits = reads(["kv", d.heads], ["head", d.headWidth]);
  const inner = out(["ffn", d.ffn]);
  const entry: Place = { prefix: base, layer: null, group: "embedding" };
  const table: Parameter[] = [
    matrix(entry, WORD, "embedding", [out(["vocab", d.vocab]), stream], init),
    matrix(entry, "wpe.weight", "embedding", [out(["position", d.positions]), stream], init),
  ];
  for (let layer = 0; layer < d.layers; layer++) {
    const block: Place = { prefix: `${base}h.${layer}.`, layer, group: "block" };
    table.push(
      ...norm(block, "ln_1", stream, layerNorm("branch", "attention")),
      ...linearLayer(block, "attn.c_attn", "branch-input", [fromStream, qkv], init),
      ...linearLayer(block, "attn.c_proj", "branch-output", [fromUnits, stream], residual),
      ...norm(block, "ln_2", stream, layerNorm("branch", "ffn")),
      ...linearLayer(block, "mlp.c_fc", "branch-input", [fromStream, inner], init),
      ...linearLayer(block, "mlp.c_proj", "branch-output", [reads(["ffn", d.ffn]), stream], residual),
    );
  }
  const final: Place = { prefix: base, layer: null, group: "head" };
  const last = outputs.lm === "tied" ? fromStream : stream;
  table.push(...norm(final, "ln_f", last, layerNorm("head", "final")));
  if (outputs.lm === "untied") {
    const head: Place = { prefix: "", layer: null, group: "head", output: "lm" };
    table.push(matrix(head, HEAD, "head", [out(["vocab", d.vocab]), fromStream], init));
  }
  return table;
}

/** Norm, causal attention, residual sum; norm, FFN, residual sum. In the last block only the kept rows leave attention. */
function preNormBlock(frame: Frame, stream: Value, states: ModelStates, layer: number): Value {
  const { b } = frame;
  const linear = (rows: Value, kind: string) => frame.linear(rows, states.linear(kind));
  const x = frame.entry(stream, layer);
  const [q, k, v] = split(b, linear(frame.norm(x, states.norm("ln_1")), "attn.c_attn"), 1, 3);
  const read = frame.kept(frame.attend(q, k, v, layer, { causal: true }), layer);
  const attended = frame.dropout(linear(read, "attn.c_proj"), "hidden", `${layer}/attention`);
  const middle = add(b, frame.kept(x, layer), attended);
  const inner = frame.activation(linear(frame.norm(middle, states.norm("ln_2")), "mlp.c_fc"));
  return add(b, middle, frame.dropout(linear(inner, "mlp.c_proj"), "hidden", `${layer}/ffn`));
}

const keys = { layers: "n_layer", hidden: "n_embd", heads: "n_head", ffn: "n_inner", eps: "layer_norm_epsilon" };

/** The names that every transformers model has, for GPT-2's own. */
const aliases = {
  hidden_size: "n_embd",
  num_hidden_layers: "n_layer",
  num_attention_heads: "n_head",
  max_position_embeddings: "n_positions",
};

export const gpt2: Architecture = defineArchitecture({
  type: "gpt2",
  studied: true,
  defaults,
  aliases,
  keys,
  classes: [modelClass("GPT2LMHeadModel", "lm"), modelClass("GPT2Model")],
  names: {
    prefix: "transformer.",
    copies: { [HEAD]: WORD },
    // The causal mask and its filler, which older versions of transformers stored with every block.
    buffers: /^h\.\d+\.attn\.(bias|masked_bias)$/,
    tasks: /^(score|classifier|qa_outputs)\./,
    beside: /^multiple_choice_head\./,
  },
  untied: true,
  taskHeads: {
    ...{ ...tokensHead("GPT2"), ...spansHead("GPT2") },
    sequence: { name: "GPT2ForSequenceClassification", reads: "last", out: "score", bias: false, drops: false },
  },
  objective: "clm",

  read(config, read) {
    read.only("add_cross_attention", false, "cross-attention is");
    read.only("scale_attn_by_inverse_layer_idx", false, "attention scaled by the layer's number is");
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
      dimensions,
      tied: read.flag("tie_word_embeddings"),
      settings: {
        eps: read.positive("layer_norm_epsilon"),
        activation: read.activation("activation_function"),
        attentionScale: read.flag("scale_attn_weights") ? 1 / Math.sqrt(attention.headWidth) : 1,
        dropout: {
          embedding: read.rate("embd_pdrop"),
          attention: read.rate("attn_pdrop"),
          hidden: read.rate("resid_pdrop"),
        },
      },
      table: (outputs, base) => decoderTable(dimensions, std, outputs, base),
    };
  },

  resize(given, to) {
    const config = ownKeys(aliases, given);
    const before = typeof config.n_embd === "number" ? config.n_embd : 768;
    const hidden = to.hidden ?? before;
    const ffn = to.ffn ?? (typeof config.n_inner === "number" ? config.n_inner : 4 * before);
    return { ...resized(keys, config, { ...to, hidden }), n_inner: ffn === 4 * hidden ? null : ffn };
  },

  forward(b, model, inputs, options) {
    const states = new ModelStates(b, model);
    const frame = new Frame(b, model, inputs, options, { inputMajor: true });
    const word = states.value(WORD);
    const sum = embed(frame, inputs, { word, position: states.value("wpe.weight") }, 0);
    const hidden = [frame.entered(frame.dropout(sum, "embedding", "embedding"))];
    for (let layer = 0; layer < frame.layers; layer++) {
      hidden.push(preNormBlock(frame, hidden[layer], new ModelStates(b, model, layer), layer));
    }
    hidden[frame.layers] = frame.norm(hidden[frame.layers], states.norm("ln_f"));
    const head = model.outputs.lm === "untied" ? states.value(HEAD) : word;
    return { hidden, lmLogits: (rows) => linear(b, rows, head, null, { transposeWeight: true }) };
  },
});
