/**
 * Programs that read sequences padded at their right to a length from a short list, so that few programs are compiled and
 * little is computed for nothing, and what the language model's head says at chosen positions.
 */
import type { Engine, Executable, TensorData } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { forward, positionsOf } from "../model/forward.ts";
import type { ForwardInputs } from "../model/frame.ts";
import { paddingOf } from "../probe/probe.ts";
import { ProgramBuilder } from "../program/builder.ts";
import type { DType, Program, Value } from "../program/graph.ts";
import { workingBytes } from "../program/memory.ts";
import { checkMemory } from "../util/memory.ts";
import type { LanguageModel } from "./model.ts";

/** A sequence, and where in it something is wanted. */
export interface Sequence {
  readonly ids: ArrayLike<number>;
  /** Token types; absent: all 0. */
  readonly types?: ArrayLike<number>;
  /** Absent: everywhere, padding included. */
  readonly at?: readonly number[];
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

/**
 * What a program of this shape is given, as `inputsAt` makes it.
 * @param trains whether token types are told apart, and no gradient goes back from padding that is read
 */
export function sequenceInputs(b: ProgramBuilder, model: Model, shape: Shape, trains: boolean): ForwardInputs {
  const { batch, length, wanted } = shape;
  const input = (name: string, count: number, dtype: DType = "i32") => b.input(name, [count], dtype, batch);
  const ids = paddingIds(model, length);
  const counted = positionsOf(model, ids, length) !== undefined;
  const padded = trains && wanted === length && paddingOf(model, ids) !== undefined;
  return {
    ids: input("ids", batch * length),
    types: trains && model.dimensions.types > 1 ? input("types", batch * length) : undefined,
    positions: counted ? input("positions", batch * length) : undefined,
    mask: input("mask", batch * length, "f32"),
    padding: padded ? input("padding", batch * length, "f32") : undefined,
    gather: input("gather", batch * wanted),
  };
}

function paddingIds({ config }: Model, count: number): Int32Array {
  return new Int32Array(count).fill(Number(config.pad_token_id ?? 0));
}

/** The inputs of such a program; sequences that are missing repeat the first. */
export function inputsAt(model: Model, sequences: readonly Sequence[], shape: Shape): Record<string, TensorData> {
  const { batch, length, wanted } = shape;
  const ids = paddingIds(model, batch * length);
  const types = new Int32Array(batch * length);
  const mask = new Float32Array(batch * length);
  const gather = new Int32Array(batch * wanted);
  for (let row = 0; row < batch; row++) {
    const { ids: own, types: kinds = [], at } = sequences[row] ?? sequences[0];
    ids.set(own, row * length);
    types.set(kinds, row * length);
    // Of a text without any token a padding token is read.
    mask.fill(1, row * length, row * length + Math.max(1, own.length));
    for (let i = 0; i < wanted; i++)
      gather[row * wanted + i] = row * length + (at === undefined ? i : (at[i] ?? at[0]));
  }
  const positions = positionsOf(model, ids, length);
  const padding = paddingOf(model, ids) ?? new Float32Array(ids.length);
  return { ids, types, mask, padding, gather, ...(positions === undefined ? {} : { positions }) };
}

/** Programs by what they are known by, each compiled when it is first asked for; they go with their engine. */
export class Programs {
  readonly #made = new Map<string, Executable>();
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  async get(key: string, build: () => Program): Promise<Executable> {
    const made = this.#made.get(key) ?? (await this.#engine.compile(build()));
    this.#made.set(key, made);
    return made;
  }
}

/** What `build` makes of the logits [batch · wanted, vocab] at the wanted positions. @throws UserError for want of memory */
export function programAt(
  { model, folder }: Pick<LanguageModel, "model" | "folder">,
  shape: Shape,
  build: (b: ProgramBuilder, logits: Value) => void,
): Program {
  const b = new ProgramBuilder();
  const { hidden, lmLogits } = forward(b, model, sequenceInputs(b, model, shape, false), shape);
  build(b, lmLogits(hidden[hidden.length - 1]));
  const program = b.build();
  checkMemory(workingBytes(program), "a batch", folder, "give shorter texts, or a smaller --window where there is one");
  return program;
}

/** The logits [batch · wanted, vocab] themselves. */
export async function logitsAt(lm: LanguageModel, sequences: readonly Sequence[], shape: Shape): Promise<TensorData> {
  const build = () => programAt(lm, shape, (b, logits) => b.output("logits", logits));
  const program = await lm.programs.get(Object.values(shape).join("/"), build);
  return (await program.run(inputsAt(lm.model, sequences, shape))).logits;
}

/** Where the first of the largest values stands. */
export function largestAt(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Of logits ÷ temperature. */
export function probabilities(logits: ArrayLike<number>, temperature = 1): Float64Array {
  const largest = logits[largestAt(logits)];
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** The most probable first. */
export function ranked(logits: ArrayLike<number>, temperature = 1) {
  const all = Array.from(probabilities(logits, temperature), (probability, id) => ({ id, probability }));
  return all.sort((a, b) => b.probability - a.probability || a.id - b.id);
}
