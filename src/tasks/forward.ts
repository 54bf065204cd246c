/**
 * Programs that only compute: sequences padded at their right to a length from a short list, so that few programs are
 * compiled and little is computed for nothing, and what the language model's head says at chosen positions.
 */
import type { Executable, TensorData } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { forward, positionsOf } from "../model/forward.ts";
import { ProgramBuilder } from "../program/builder.ts";
import type { DType, Value } from "../program/graph.ts";
import { workingBytes } from "../program/memory.ts";
import { checkMemory } from "../util/memory.ts";
import type { LanguageModel } from "./model.ts";

/** A sequence, and where in it something is wanted. */
export interface Sequence {
  readonly ids: ArrayLike<number>;
  readonly at: readonly number[];
}

export interface Shape {
  readonly batch: number;
  readonly length: number;
  /** Positions wanted of each sequence. */
  readonly wanted: number;
}

/** The smallest length of the list that holds `count`: powers of two to 8, then steps of at most an eighth. */
export function bucketOf(count: number, most: number): number {
  const step = 2 ** Math.max(3, Math.ceil(Math.log2(count)) - 3);
  return Math.min(most, count <= 8 ? 2 ** Math.ceil(Math.log2(Math.max(1, count))) : Math.ceil(count / step) * step);
}

/** Compiles what `build` makes of the logits [batch · wanted, vocab] at the chosen positions. */
export async function compileAt(
  { model, engine, folder }: Pick<LanguageModel, "model" | "engine" | "folder">,
  { batch, length, wanted }: Shape,
  build: (b: ProgramBuilder, logits: Value) => void,
): Promise<Executable> {
  const b = new ProgramBuilder();
  const input = (name: string, count: number, dtype: DType = "i32") => b.input(name, [count], dtype, batch);
  const inputs = {
    ids: input("ids", batch * length),
    positions: positionsOf(model, new Int32Array(length), length) && input("positions", batch * length),
    mask: input("mask", batch * length, "f32"),
    gather: input("gather", batch * wanted),
  };
  const { hidden, lmLogits } = forward(b, model, inputs, { batch, length });
  build(b, lmLogits(hidden[hidden.length - 1]));
  const program = b.build();
  checkMemory(workingBytes(program), "a batch", folder, "give shorter texts, or a smaller --window where there is one");
  return engine.compile(program);
}

/** The inputs of such a program; sequences that are missing repeat the first. */
export function inputsAt(model: Model, sequences: readonly Sequence[], shape: Shape): Record<string, TensorData> {
  const { batch, length, wanted } = shape;
  const padding = Number(model.config.pad_token_id ?? 0);
  const ids = new Int32Array(batch * length).fill(padding);
  const mask = new Float32Array(batch * length);
  const gather = new Int32Array(batch * wanted);
  for (let row = 0; row < batch; row++) {
    const sequence = sequences[row] ?? sequences[0];
    ids.set(sequence.ids, row * length);
    mask.fill(1, row * length, row * length + sequence.ids.length);
    for (let i = 0; i < wanted; i++) gather[row * wanted + i] = row * length + (sequence.at[i] ?? sequence.at[0]);
  }
  const positions = positionsOf(model, ids, length);
  return { ids, mask, gather, ...(positions === undefined ? {} : { positions }) };
}
