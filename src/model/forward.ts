/**
 * A model's forward pass, made of what its network says. Dropout stands where transformers has it: on the embeddings, on
 * the attention's probabilities, on what each branch writes into the stream or a gated FFN's inner units.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import { ProgramError, type Value } from "../program/graph.ts";
import * as ops from "../program/ops/index.ts";
import type { Model } from "./architecture.ts";
import { type ForwardInputs, type ForwardOptions, Frame } from "./frame.ts";
import type { Embedding, Network } from "./network.ts";
import { biasRead } from "./parameters.ts";
import { type ModelStates, statesOf } from "./states.ts";

export type ForwardResult = ReturnType<typeof forward>;

export function forward(b: ProgramBuilder, model: Model, inputs: ForwardInputs, options: ForwardOptions) {
  const { network, settings, outputs, kinds } = model;
  const { embedding, lm, final } = network;
  const states = statesOf(b, model);
  const frame = new Frame(b, model, inputs, options);
  const embedded = frame.norm(embed(frame, inputs, states, embedding), states, embedding.norm);
  const entering = embedding.keeps ? embedded : frame.dropout(embedded, "embedding", "embedding");
  const hidden = [frame.entered(entering)];
  for (let layer = 0; layer < frame.layers; layer++) {
    hidden.push(block(frame, network, hidden[layer], statesOf(b, model, layer), layer, kinds?.[layer]));
  }
  hidden[frame.layers] = frame.norm(hidden[frame.layers], states, final);
  const above = (rows: Value, kind: string | undefined) => {
    if (kind === undefined) throw new ProgramError("no model of this architecture has that output");
    return frame.linear(rows, states, kind);
  };
  const transformed = (rows: Value) => {
    const { transform } = lm;
    if (transform === undefined) return rows;
    const active = frame.activation(frame.linear(rows, states, transform.dense), settings.transform);
    return frame.norm(active, states, transform.norm);
  };
  return {
    /**
     * Embeddings' output and each block's, [batch · length, hidden]; GPT-2's last after the final norm. With `gather` the
     * last one is [batch · perSequence, hidden], with `keepFirst` [batch · (1 + perSequence), hidden].
     */
    hidden,
    /** What of the language model's head stands before its decoder, on rows of the final hidden state, [n, hidden] → the same. */
    transformed,
    /** Logits over the vocabulary at rows of the final hidden state [n, hidden] → [n, vocab]. */
    lmLogits(rows: Value) {
      const tied = outputs.lm === "tied";
      const weight = states.value(tied ? embedding.words : `${lm.decoder}.weight`);
      const bias = biasRead(lm, tied);
      const added = bias === undefined ? null : states.value(bias);
      return ops.linear(b, transformed(rows), weight, added, { transposeWeight: true });
    },
    /** From the final hidden state at each sequence's position 0, [batch, hidden] → [batch, pooler]. Throws without the output. */
    pooled: (first: Value) => ops.tanh(b, above(first, network.pooler)),
    /** From the pooler's output → [batch, 2]. Throws without the output. */
    nspLogits: (pooled: Value) => above(pooled, network.nsp),
  };
}

/**
 * The rows of the position table that ids [batch · length] take, where they depend on the ids: those that count from the
 * padding id + 1 over what is not padding; undefined where they are 0, 1, 2 …
 */
export function positionsOf({ network }: Model, ids: Int32Array, length: number): Int32Array | undefined {
  const { first = 0 } = network.embedding.positions ?? {};
  if (first === 0) return undefined;
  const padding = first - 1;
  const rows = new Int32Array(ids.length);
  for (let start = 0; start < ids.length; start += length) {
    let seen = 0;
    for (let i = start; i < start + length; i++) rows[i] = ids[i] === padding ? padding : padding + ++seen;
  }
  return rows;
}

/** The sum of token, type and position embeddings, [batch · length, hidden]. */
function embed(
  frame: Frame,
  inputs: ForwardInputs,
  states: ModelStates,
  { words, types, positions }: Embedding,
): Value {
  const { b, batch, length } = frame;
  // Rows of padding, where it is said which they are, pass no gradient back.
  const looked = (table: Value, ids: Value) => {
    const rows = ops.gather(b, table, ids);
    return inputs.padding === undefined ? rows : withoutGradient(b, rows, inputs.padding);
  };
  let sum = looked(states.value(words), inputs.ids);
  if (types !== undefined) {
    const table = states.value(types);
    sum = ops.add(
      b,
      sum,
      inputs.types === undefined ? ops.slice(b, table, 0, 0, 1) : ops.gather(b, table, inputs.types),
    );
  }
  if (positions === undefined) return sum;
  const table = states.value(positions.name);
  // Positions that are given may themselves hold padding's row.
  if (inputs.positions !== undefined) return ops.add(b, sum, looked(table, inputs.positions));
  const inOrder = ops.slice(b, table, 0, positions.first, positions.first + length);
  const { shape } = sum;
  return ops.reshape(b, ops.add(b, ops.reshape(b, sum, [batch, length, shape[1]]), inOrder), shape);
}

/** The rows [n, hidden] as they are, passing no gradient back where `where` [n] is 1. */
function withoutGradient(b: ProgramBuilder, rows: Value, where: Value): Value {
  const column = ops.reshape(b, where, [where.shape[0], 1]);
  return ops.add(
    b,
    ops.mul(b, rows, ops.sub(b, ops.constant(b, 1), column)),
    ops.mul(b, ops.stopGradient(b, rows), column),
  );
}

/** Attention and a residual sum, FFN and a residual sum. In the last block only the kept rows go on. */
function block(
  frame: Frame,
  network: Network,
  stream: Value,
  states: ModelStates,
  layer: number,
  kind: string | undefined,
): Value {
  const { b } = frame;
  const { attention, ffn, normsAfter = false } = network;
  const form = network.attends(kind);
  const linear = (rows: Value, name: string) => frame.linear(rows, states, name);
  const entering = (rows: Value, norm: string) => (normsAfter ? rows : frame.norm(rows, states, norm));
  const joined = (rows: Value, written: Value, norm: string) =>
    normsAfter ? frame.norm(ops.add(b, written, rows), states, norm) : ops.add(b, rows, written);
  const read = (rows: Value, names: readonly string[], count: number) =>
    names.length === count ? names.map((name) => linear(rows, name)) : ops.split(b, linear(rows, names[0]), 1, count);

  const x = frame.entry(stream, layer);
  const rows = entering(x, attention.norm);
  let attended: Value;
  let kept: Value;
  if (normsAfter && !form.causal && form.rope === undefined && attention.reads.length === 3) {
    // Nothing depends on where a query stands: the kept rows alone ask.
    kept = frame.kept(x, layer);
    const [k, v] = attention.reads.slice(1).map((name) => linear(rows, name));
    attended = frame.attend(linear(kept, attention.reads[0]), k, v, layer, form);
  } else {
    const [q, k, v] = read(rows, attention.reads, 3);
    const query = frame.headNorm(q, states, attention.queryNorm);
    const key = frame.headNorm(k, states, attention.keyNorm);
    attended = frame.kept(frame.attend(query, key, v, layer, form), layer);
    kept = frame.kept(x, layer);
  }
  const wrote = linear(attended, attention.writes);
  const dropped = attention.keeps ? wrote : frame.dropout(wrote, "hidden", `${layer}/attention`);
  const middle = joined(kept, dropped, attention.norm);
  const entered = entering(middle, ffn.norm);
  const [first, units] = read(entered, ffn.reads, ffn.gated ? 2 : 1);
  const active = frame.activation(first);
  if (ffn.gated) {
    const inner = frame.dropout(ops.mul(b, active, units), "inner", `${layer}/inner`);
    return joined(middle, linear(inner, ffn.writes), ffn.norm);
  }
  return joined(middle, frame.dropout(linear(active, ffn.writes), "hidden", `${layer}/ffn`), ffn.norm);
}
