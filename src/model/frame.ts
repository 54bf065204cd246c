/** What every part of one forward pass shares: the blocks that run, the rows that are read, dropout and attention. */
import type { ProgramBuilder } from "../program/builder.ts";
import { ProgramError, type Value } from "../program/graph.ts";
import * as ops from "../program/ops/index.ts";
import type { Model, ModelSettings } from "./architecture.ts";
import type { Activation } from "./config.ts";
import type { AttentionForm } from "./network.ts";
import type { Rope } from "./rope.ts";
import type { ModelStates } from "./states.ts";

export interface ForwardInputs {
  /** Token ids [batch · length], i32. */
  readonly ids: Value;
  /** Token types [batch · length], i32; absent: all 0. */
  readonly types?: Value;
  /** Rows of the position table [batch · length], i32; absent: 0, 1, 2 … from the architecture's own offset. */
  readonly positions?: Value;
  /** 1 at a token, 0 at padding, [batch · length], f32; absent: no padding. */
  readonly mask?: Value;
  /** Whether padding, where there is some, only ever ends a sequence; default no. */
  readonly prefix?: boolean;
  /**
   * Which document each token belongs to, [batch · length], i32, and with `gather` those of the gathered positions,
   * [batch · perSequence]: attention then stays inside a document; absent: a sequence is one.
   */
  readonly documents?: { readonly all: Value; readonly gathered?: Value };
  /**
   * 1 where the id is the padding id, else 0, [batch · length], f32: rows looked up there pass no gradient back, as
   * PyTorch's `padding_idx` has it. Needed only where padding is read by something (it is not where `mask` hides it).
   */
  readonly padding?: Value;
  /**
   * Flat indices [batch · perSequence] into batch · length, i32: the only positions whose final hidden state is read.
   * Then the last block runs its queries, output projection and FFN at those alone.
   */
  readonly gather?: Value;
}

export interface ForwardOptions {
  readonly batch: number;
  readonly length: number;
  /** How many blocks run, from the bottom; default all. */
  readonly layers?: number;
  /** The lowest block that trains: nothing is computed backward below it (embeddings train with block 0); default 0. */
  readonly trainFrom?: number;
  /** With `gather`: position 0 of each sequence is kept too, before those gathered from it; default no. */
  readonly keepFirst?: boolean;
  /** Dropout on, with the rates given and the key i32[2] = (seed, step); absent: off. */
  readonly dropout?: { readonly rates: ModelSettings["dropout"]; readonly key: Value };
}

export function activated(b: ProgramBuilder, x: Value, which: Activation): Value {
  switch (which) {
    case "gelu-erf":
      return ops.gelu(b, x, "erf");
    case "gelu-tanh":
      return ops.gelu(b, x, "tanh");
    case "relu":
      return ops.relu(b, x);
    case "silu":
      return ops.silu(b, x);
  }
}

/** What every part of one forward pass needs to know. */
export class Frame {
  readonly b: ProgramBuilder;
  readonly batch: number;
  readonly length: number;
  /** Blocks that run. */
  readonly layers: number;
  readonly #model: Model;
  readonly #inputs: ForwardInputs;
  readonly #options: ForwardOptions;
  readonly #turns = new Map<Rope, Value>();
  readonly #keyBias: Value | undefined;

  constructor(b: ProgramBuilder, model: Model, inputs: ForwardInputs, options: ForwardOptions) {
    this.b = b;
    this.batch = options.batch;
    this.length = options.length;
    this.layers = options.layers ?? model.dimensions.layers;
    this.#model = model;
    this.#inputs = inputs;
    this.#options = options;
    this.#keyBias = inputs.mask === undefined ? undefined : paddingBias(b, inputs.mask, this.batch, this.length);
  }

  linear(x: Value, states: ModelStates, kind: string): Value {
    const [weight, bias] = [states.value(`${kind}.weight`), states.valueIf(`${kind}.bias`)];
    return ops.linear(this.b, x, weight, bias, { transposeWeight: !this.#model.network.inputMajor });
  }

  /** Rows as they are where the table has no such norm. */
  norm(x: Value, states: ModelStates, kind: string | undefined): Value {
    const { eps } = this.#model.settings;
    const norm = states.normIf(kind);
    if (norm === undefined) return x;
    if (norm.kind === "rms") return ops.rmsNorm(this.b, x, norm.gain, eps).y;
    return ops.layerNorm(this.b, x, norm.gain, norm.shift ?? ops.constant(this.b, 0, norm.gain.shape), eps).y;
  }

  /** Rows [n, heads · width] normed over each head's own units, where there is a norm. */
  headNorm(x: Value, states: ModelStates, kind: string | undefined): Value {
    if (states.normIf(kind) === undefined) return x;
    const width = this.#model.dimensions.headWidth;
    const rows = ops.reshape(this.b, x, [(x.shape[0] * x.shape[1]) / width, width]);
    return ops.reshape(this.b, this.norm(rows, states, kind), x.shape);
  }

  /** @param which default: the config's */
  activation(x: Value, which = this.#model.settings.activation): Value {
    return activated(this.b, x, which);
  }

  dropout(x: Value, kind: "embedding" | "hidden" | "inner", place: string): Value {
    const on = this.#options.dropout;
    return on === undefined ? x : ops.dropout(this.b, x, on.key, on.rates[kind] ?? 0, `dropout/${place}`);
  }

  /**
   * What enters a block: the stream, and from the lowest block that trains nothing goes further down when the loss is
   * differentiated (embeddings train with block 0, so there it does).
   */
  entry(stream: Value, layer: number): Value {
    return layer > 0 && layer === (this.#options.trainFrom ?? 0) ? ops.stopGradient(this.b, stream) : stream;
  }

  /** The stream as the embeddings leave it: all of its rows, but where there is no block those that are read. */
  entered(rows: Value): Value {
    return this.kept(rows, -1);
  }

  /** The rows of [batch · length, hidden] that are read of a block's output: all, but in the last block the gathered ones. */
  kept(rows: Value, layer: number): Value {
    const indices = this.#inputs.gather;
    if (indices === undefined || layer !== this.layers - 1) return rows;
    const { b, batch, length } = this;
    const width = rows.shape[1];
    const chosen = ops.gather(b, rows, indices, batch);
    if (!this.#options.keepFirst) return chosen;
    const perSequence = indices.shape[0] / batch;
    const first = ops.slice(b, ops.reshape(b, rows, [batch, length, width]), 1, 0, 1);
    const both = ops.concat(b, [first, ops.reshape(b, chosen, [batch, perSequence, width])], 1);
    return ops.reshape(b, both, [batch * (perSequence + 1), width]);
  }

  /** Attention of rows [batch · queries, heads · head width] to all positions → rows of the same shape. */
  attend(q: Value, k: Value, v: Value, layer: number, { causal, window, rope }: AttentionForm): Value {
    const { b, batch, length } = this;
    const { heads, kvHeads } = this.#model.dimensions;
    const queries = q.shape[0] / batch;
    const on = this.#options.dropout;
    const mask =
      on === undefined || on.rates.attention === 0
        ? undefined
        : ops.dropoutMask(b, on.key, {
            shape: [batch, heads, queries, length],
            rate: on.rates.attention,
            stream: `dropout/${layer}/probabilities`,
          });
    const [q3, k3, v3] = [q, k, v].map((x) => ops.reshape(b, x, [batch, x.shape[0] / batch, x.shape[1]]));
    const turned = (x: Value) => (rope === undefined ? x : this.#turned(x, this.#turnsOf(rope)));
    const { attentionScale: scale } = this.#model.settings;
    const padding = { bias: this.#keyBias, prefix: this.#inputs.prefix };
    const seen = { heads, kvHeads, causal, window, scale, ...padding, mask, apart: this.#apart(queries) };
    const { out } = ops.attention(b, turned(q3), turned(k3), v3, seen);
    return ops.reshape(b, out, q.shape);
  }

  /** [2, length, turned units / 2]; the same value for all blocks of the same positions. */
  #turnsOf(rope: Rope): Value {
    const turns = this.#turns.get(rope) ?? ops.rotations(this.b, this.length, rope.frequencies, rope.scale);
    this.#turns.set(rope, turns);
    return turns;
  }

  /** Rows [batch, n, heads · width] with as many units of each head turned as there are turns for, the first ones. */
  #turned(x: Value, turns: Value): Value {
    const { b } = this;
    const [batch, rows, all] = x.shape;
    const [width, turned] = [this.#model.dimensions.headWidth, 2 * turns.shape[2]];
    if (turned === width) return ops.rotary(b, x, turns);
    const each = ops.reshape(b, x, [batch, rows, all / width, width]);
    const first = ops.reshape(b, ops.slice(b, each, 3, 0, turned), [batch, rows, (all / width) * turned]);
    const made = ops.reshape(b, ops.rotary(b, first, turns), [batch, rows, all / width, turned]);
    return ops.reshape(b, ops.concat(b, [made, ops.slice(b, each, 3, turned, width)], 3), x.shape);
  }

  /** The documents of so many queries a sequence, and of all keys. */
  #apart(queries: number): { readonly queries: Value; readonly keys: Value } | undefined {
    const { b, batch, length } = this;
    if (this.#inputs.documents === undefined) return undefined;
    const { all, gathered } = this.#inputs.documents;
    const asked = queries === length ? all : gathered;
    if (asked === undefined) throw new ProgramError("the documents of the gathered positions are missing");
    return { queries: ops.reshape(b, asked, [batch, queries]), keys: ops.reshape(b, all, [batch, length]) };
  }
}

/** Added to the scores of keys [batch, length]: 0 at a token, large and negative at padding. */
function paddingBias(b: ProgramBuilder, mask: Value, batch: number, length: number): Value {
  return ops.scale(b, ops.sub(b, ops.reshape(b, mask, [batch, length]), ops.constant(b, 1)), 1e30);
}
