/**
 * The transformer's parts that architectures share, over values: embeddings, attention, layers. What a block is made of,
 * and which parameter is which, is the architecture's to say. Dropout stands where transformers has it: on the embeddings, on the attention's
 * probabilities, on what each branch writes into the stream.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import { ProgramError, type Value } from "../program/graph.ts";
import {
  add,
  attention,
  concat,
  constant,
  dropout,
  dropoutMask,
  gather,
  gelu,
  layerNorm,
  linear,
  mul,
  relu,
  reshape,
  rmsNorm,
  rotary,
  scale,
  silu,
  slice,
  stopGradient,
  sub,
} from "../program/ops/index.ts";
import type { ForwardInputs, ForwardOptions, Model, ModelSettings } from "./architecture.ts";
import type { LinearStates, NormStates } from "./states.ts";

/** How attention reads. */
export interface AttentionForm {
  /** Only what came before. */
  readonly causal: boolean;
  /** The largest distance that is seen; absent: any. */
  readonly window?: number;
  /** Of rotary positions, [2, length, width / 2]. */
  readonly turns?: Value;
}

/** What every part of one forward pass needs to know. */
export class Frame {
  readonly b: ProgramBuilder;
  readonly settings: ModelSettings;
  readonly batch: number;
  readonly length: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  /** Blocks that run. */
  readonly layers: number;
  /** Weights are stored [inputs, outputs] rather than [outputs, inputs]. */
  readonly inputMajor: boolean;
  readonly #trainFrom: number;
  readonly #dropout: ForwardOptions["dropout"];
  readonly #gather: Value | undefined;
  readonly #keepFirst: boolean;
  readonly #keyBias: Value | undefined;
  readonly #prefix: boolean | undefined;
  readonly #documents: ForwardInputs["documents"];

  constructor(
    b: ProgramBuilder,
    model: Model,
    inputs: ForwardInputs,
    options: ForwardOptions,
    layout: { readonly inputMajor: boolean },
  ) {
    this.b = b;
    this.settings = model.settings;
    this.batch = options.batch;
    this.length = options.length;
    this.hidden = model.dimensions.hidden;
    this.heads = model.dimensions.heads;
    this.kvHeads = model.dimensions.kvHeads;
    this.headWidth = model.dimensions.headWidth;
    this.layers = options.layers ?? model.dimensions.layers;
    this.inputMajor = layout.inputMajor;
    this.#trainFrom = options.trainFrom ?? 0;
    this.#dropout = options.dropout;
    this.#gather = inputs.gather;
    this.#keepFirst = options.keepFirst ?? false;
    this.#documents = inputs.documents;
    this.#prefix = inputs.prefix;
    this.#keyBias = inputs.mask === undefined ? undefined : paddingBias(b, inputs.mask, this.batch, this.length);
  }

  linear(x: Value, states: LinearStates): Value {
    return linear(this.b, x, states.weight, states.bias, { transposeWeight: !this.inputMajor });
  }

  norm(x: Value, states: NormStates): Value {
    const { eps } = this.settings;
    if (states.kind === "rms") return rmsNorm(this.b, x, states.gain, eps).y;
    const shift = states.shift ?? constant(this.b, 0, states.gain.shape);
    return layerNorm(this.b, x, states.gain, shift, eps).y;
  }

  /** Rows [n, heads · width] normed over each head's own units, where there is a norm. */
  headNorm(x: Value, states: NormStates | undefined): Value {
    if (states === undefined) return x;
    const width = states.gain.shape[0];
    const rows = reshape(this.b, x, [(x.shape[0] * x.shape[1]) / width, width]);
    return reshape(this.b, this.norm(rows, states), x.shape);
  }

  /** @param which default: the config's */
  activation(x: Value, which = this.settings.activation): Value {
    switch (which) {
      case "gelu-erf":
        return gelu(this.b, x, "erf");
      case "gelu-tanh":
        return gelu(this.b, x, "tanh");
      case "relu":
        return relu(this.b, x);
      case "silu":
        return silu(this.b, x);
    }
  }

  dropout(x: Value, kind: "embedding" | "hidden" | "inner", place: string): Value {
    const on = this.#dropout;
    return on === undefined ? x : dropout(this.b, x, on.key, on.rates[kind] ?? 0, `dropout/${place}`);
  }

  /**
   * What enters a block: the stream, and from the lowest block that trains nothing goes further down when the loss is
   * differentiated (embeddings train with block 0, so there it does).
   */
  entry(stream: Value, layer: number): Value {
    return layer > 0 && layer === this.#trainFrom ? stopGradient(this.b, stream) : stream;
  }

  /** The stream as the embeddings leave it: all of its rows, but where there is no block those that are read. */
  entered(rows: Value): Value {
    return this.kept(rows, -1);
  }

  /** The rows of [batch · length, hidden] that are read of a block's output: all, but in the last block the gathered ones. */
  kept(rows: Value, layer: number): Value {
    const indices = this.#gather;
    if (indices === undefined || layer !== this.layers - 1) return rows;
    const { b, batch, length } = this;
    const width = rows.shape[1];
    const chosen = gather(b, rows, indices, batch);
    if (!this.#keepFirst) return chosen;
    const perSequence = indices.shape[0] / batch;
    const first = slice(b, reshape(b, rows, [batch, length, width]), 1, 0, 1);
    const both = concat(b, [first, reshape(b, chosen, [batch, perSequence, width])], 1);
    return reshape(b, both, [batch * (perSequence + 1), width]);
  }

  /** Attention of rows [batch · queries, heads · head width] to all positions → rows of the same shape. */
  attend(q: Value, k: Value, v: Value, layer: number, { causal, window, turns }: AttentionForm): Value {
    const { b, batch, length, heads, kvHeads } = this;
    const queries = q.shape[0] / batch;
    const on = this.#dropout;
    const mask =
      on === undefined || on.rates.attention === 0
        ? undefined
        : dropoutMask(b, on.key, {
            shape: [batch, heads, queries, length],
            rate: on.rates.attention,
            stream: `dropout/${layer}/probabilities`,
          });
    const [q3, k3, v3] = [q, k, v].map((x) => reshape(b, x, [batch, x.shape[0] / batch, x.shape[1]]));
    const turned = (x: Value) => (turns === undefined ? x : this.#turned(x, turns));
    const { attentionScale: scale } = this.settings;
    const padding = { bias: this.#keyBias, prefix: this.#prefix };
    const seen = { heads, kvHeads, causal, window, scale, ...padding, mask, apart: this.#apart(queries) };
    const { out } = attention(b, turned(q3), turned(k3), v3, seen);
    return reshape(b, out, q.shape);
  }

  /** Rows [batch, n, heads · width] with as many units of each head turned as there are turns for, the first ones. */
  #turned(x: Value, turns: Value): Value {
    const { b } = this;
    const [batch, rows, all] = x.shape;
    const [width, turned] = [this.headWidth, 2 * turns.shape[2]];
    if (turned === width) return rotary(b, x, turns);
    const each = reshape(b, x, [batch, rows, all / width, width]);
    const first = reshape(b, slice(b, each, 3, 0, turned), [batch, rows, (all / width) * turned]);
    const made = reshape(b, rotary(b, first, turns), [batch, rows, all / width, turned]);
    return reshape(b, concat(b, [made, slice(b, each, 3, turned, width)], 3), x.shape);
  }

  /** The documents of so many queries a sequence, and of all keys. */
  #apart(queries: number): { readonly queries: Value; readonly keys: Value } | undefined {
    const { b, batch, length } = this;
    if (this.#documents === undefined) return undefined;
    const { all, gathered } = this.#documents;
    const asked = queries === length ? all : gathered;
    if (asked === undefined) throw new ProgramError("the documents of the gathered positions are missing");
    return { queries: reshape(b, asked, [batch, queries]), keys: reshape(b, all, [batch, length]) };
  }
}

/** Added to the scores of keys [batch, length]: 0 at a token, large and negative at padding. */
function paddingBias(b: ProgramBuilder, mask: Value, batch: number, length: number): Value {
  return scale(b, sub(b, reshape(b, mask, [batch, length]), constant(b, 1)), 1e30);
}

/** The rows [n, hidden] as they are, passing no gradient back where `where` [n] is 1. */
function withoutGradient(b: ProgramBuilder, rows: Value, where: Value): Value {
  const column = reshape(b, where, [where.shape[0], 1]);
  return add(b, mul(b, rows, sub(b, constant(b, 1), column)), mul(b, stopGradient(b, rows), column));
}

/** The token embeddings of the ids, [batch · length, hidden]; padding's pass no gradient back where it is said which are. */
export function lookUp(frame: Frame, inputs: ForwardInputs, word: Value): Value {
  return held(frame, inputs, gather(frame.b, word, inputs.ids));
}

function held({ b }: Frame, { padding }: ForwardInputs, looked: Value): Value {
  return padding === undefined ? looked : withoutGradient(b, looked, padding);
}

/**
 * The sum of token, type and position embeddings, [batch · length, hidden].
 * @param tables of types and positions; types may be absent
 * @param offset the row of the first position where no positions are given
 */
export function embed(
  frame: Frame,
  inputs: ForwardInputs,
  tables: { readonly word: Value; readonly position: Value; readonly type?: Value },
  offset: number,
): Value {
  const { b, batch, length, hidden } = frame;
  let sum = lookUp(frame, inputs, tables.word);
  if (tables.type !== undefined) {
    const types = inputs.types === undefined ? slice(b, tables.type, 0, 0, 1) : gather(b, tables.type, inputs.types);
    sum = add(b, sum, types);
  }
  if (inputs.positions !== undefined) {
    // Positions that are given may themselves hold padding's row.
    return add(b, sum, held(frame, inputs, gather(b, tables.position, inputs.positions)));
  }
  const inOrder = slice(b, tables.position, 0, offset, offset + length);
  return reshape(b, add(b, reshape(b, sum, [batch, length, hidden]), inOrder), [batch * length, hidden]);
}

export interface GatedStates {
  readonly attentionNorm: NormStates | undefined;
  /** Norms of each head's queries and keys, where there are any. */
  readonly queryNorm?: NormStates;
  readonly keyNorm?: NormStates;
  readonly attentionOutput: LinearStates;
  readonly ffnNorm: NormStates;
  readonly ffnOutput: LinearStates;
}

/** What reads the normed stream: queries, keys and values; and the FFN's gate, which the activation is for, and its units. */
export interface GatedInputs {
  qkv(x: Value): readonly Value[];
  gate(x: Value): readonly Value[];
}

/** Norm, attention with rotary positions, residual sum; norm, gated FFN (Shazeer 2020), residual sum. */
export function gatedBlock(
  frame: Frame,
  stream: Value,
  states: GatedStates,
  inputs: GatedInputs,
  layer: number,
  form: AttentionForm,
): Value {
  const { b } = frame;
  const x = frame.entry(stream, layer);
  const normed = states.attentionNorm === undefined ? x : frame.norm(x, states.attentionNorm);
  const [q, k, v] = inputs.qkv(normed);
  const [query, key] = [frame.headNorm(q, states.queryNorm), frame.headNorm(k, states.keyNorm)];
  const read = frame.kept(frame.attend(query, key, v, layer, form), layer);
  const attended = frame.dropout(frame.linear(read, states.attentionOutput), "hidden", `${layer}/attention`);
  const middle = add(b, frame.kept(x, layer), attended);
  const [gate, units] = inputs.gate(frame.norm(middle, states.ffnNorm));
  const inner = frame.dropout(mul(b, frame.activation(gate), units), "inner", `${layer}/inner`);
  return add(b, middle, frame.linear(inner, states.ffnOutput));
}
