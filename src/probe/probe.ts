/**
 * The window for comparing with any other implementation: what a checkpoint computes for given inputs, in F32, dropout
 * off.
 *
 * Results are named as transformers names them: `hidden.<i>` (0 the embeddings, i after block i, GPT-2's last after
 * its final norm), `logits`, `pooler`, `nsp_logits`, `loss` (the sum of the terms whose head and labels both exist; the
 * mean over the labels that count), and with gradients `grad/<parameter>`.
 */
import { writeSafetensors } from "../checkpoint/write.ts";
import type { Engine, TensorData } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { forward, positionsOf } from "../model/forward.ts";
import type { ParameterWeights } from "../model/load.ts";
import { parameterCount, runsAlong, shapeOf } from "../model/table.ts";
import { ProgramBuilder } from "../program/builder.ts";
import { differentiate } from "../program/differentiate.ts";
import type { Program, Value } from "../program/graph.ts";
import { workingBytes } from "../program/memory.ts";
import { add, crossEntropy, reshape, slice } from "../program/ops/index.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { checkMemory } from "../util/memory.ts";
import type { Labels, ProbeInputs } from "./inputs.ts";

export interface ProbeTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface ProbeOptions {
  readonly gradients: boolean;
}

/**
 * Runs a checkpoint once. The engine keeps the parameters afterwards, under their names.
 * @throws UserError if gradients are asked for and there is no loss, or it does not fit into memory
 */
export async function probe(
  model: Model,
  weights: Pick<ParameterWeights, "readF32">,
  inputs: ProbeInputs,
  engine: Engine,
  options: ProbeOptions,
): Promise<ReadonlyMap<string, ProbeTensor>> {
  const { program, given } = probeProgram(model, inputs, options);
  const wayOut = "give fewer or shorter sequences, or free memory";
  checkMemory(bytesOf(model, program), "the probe", "inputs", wayOut);
  await using keep = keeping();
  const executable = keep(await engine.compile(program));
  for (const [name, { shape }] of program.states) await engine.write(name, shape, await weights.readF32(name));
  const results = await executable.run(given);
  const tensors = new Map<string, ProbeTensor>();
  for (const [name, { shape }] of program.outputs) {
    const data = results[name];
    if (data instanceof Float32Array) tensors.set(name, { shape, data });
  }
  return tensors;
}

function bytesOf({ parameters }: Model, program: Program): number {
  return 4 * parameterCount(parameters) + workingBytes(program);
}

/** How much memory a probe without gradients takes at least. */
export function probeBytes(model: Model, inputs: ProbeInputs): number {
  return bytesOf(model, probeProgram(model, inputs, { gradients: false }).program);
}

function probeProgram(model: Model, inputs: ProbeInputs, options: ProbeOptions) {
  const b = new ProgramBuilder();
  const given: Record<string, TensorData> = {};
  const input = (name: string, data: TensorData): Value => {
    given[name] = data;
    return b.input(name, [data.length], data instanceof Int32Array ? "i32" : "f32");
  };
  const optional = (name: string, data: TensorData | undefined) => (data === undefined ? undefined : input(name, data));
  const { batch, length } = inputs;
  const { architecture, outputs, dimensions } = model;
  const { hidden, lmLogits, pooled, nspLogits } = forward(
    b,
    model,
    {
      ids: input("ids", inputs.ids),
      types: optional("types", inputs.types),
      mask: optional("mask", inputs.mask),
      padding: optional("padding", options.gradients ? paddingOf(model, inputs.ids) : undefined),
      positions: optional("positions", positionsOf(model, inputs.ids, length)),
    },
    { batch, length },
  );
  const bySequence = (value: Value) => reshape(b, value, [batch, length, value.shape[1]]);
  for (const [i, value] of hidden.entries()) b.output(`hidden.${i}`, bySequence(value));
  const last = hidden[hidden.length - 1];

  const terms: Value[] = [];
  const addTerm = (name: string, logits: Value, target: Labels | undefined) => {
    if (target === undefined) return;
    const labels = input(`${name}_labels`, target.labels);
    terms.push(crossEntropy(b, logits, labels, input(`${name}_weights`, target.weights)).loss);
  };
  if (outputs.lm !== "none") {
    const logits = lmLogits(last);
    b.output("logits", bySequence(logits));
    addTerm("lm", logits, inputs.lm);
  }
  if (outputs.pooler) {
    const pooler = pooled(reshape(b, slice(b, bySequence(last), 1, 0, 1), [batch, dimensions.hidden]));
    b.output("pooler", pooler);
    if (outputs.nsp) {
      const logits = nspLogits(pooler);
      b.output("nsp_logits", logits);
      addTerm("nsp", logits, inputs.nsp);
    }
  }
  if (terms.length > 0) {
    const loss = terms.reduce((sum, next) => add(b, sum, next));
    b.output("loss", reshape(b, loss, [1]));
    if (options.gradients) {
      const states = model.parameters.map((parameter) => b.state(parameter.name, shapeOf(parameter)));
      const gradients = differentiate(b, loss, states);
      for (const [i, { name }] of model.parameters.entries()) b.output(`grad/${name}`, gradients[i]);
    }
  } else if (options.gradients) {
    const trainable = architecture.objectives(outputs).join(" and ");
    throw new UserError(
      "there is no loss to take gradients of",
      "--gradients",
      trainable === ""
        ? "the model has no head with a loss: leave --gradients off"
        : `give labels in the inputs (the model has heads for ${trainable})`,
    );
  }
  return { program: b.build(), given };
}

/** Writes what a probe found as one safetensors file, whole or not at all. @throws UserError */
export function writeProbe(path: string, tensors: ReadonlyMap<string, ProbeTensor>): Promise<void> {
  const sources = Array.from(tensors, ([name, { shape, data }]) => ({
    name,
    dtype: "F32" as const,
    shape,
    data: async () => data,
  }));
  return writeSafetensors(path, sources);
}

/** The id whose embedding does not train; undefined where there is none. */
export function paddingId({ parameters }: Model): number | undefined {
  const words = parameters.find(({ part, dims }) => part === "embedding" && runsAlong(dims[0], "vocab"));
  return words?.init.kind === "normal" ? words.init.padding?.row : undefined;
}

/** 1 where an id is padding's; undefined where none is. */
export function paddingOf(model: Model, ids: Int32Array): Float32Array | undefined {
  const row = paddingId(model);
  return row === undefined || !ids.includes(row) ? undefined : Float32Array.from(ids, (id) => Number(id === row));
}
