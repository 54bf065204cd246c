/** The programs of fine-tuning: a step of one batch, and what the head says of one. Losses are transformers' own. */
import type { Model } from "../../model/architecture.ts";
import { forward, positionsOf } from "../../model/forward.ts";
import { type Parameter, shapeOf } from "../../model/table.ts";
import { type HeadedModel, taskLogits } from "../../model/task-head.ts";
import { ProgramBuilder } from "../../program/builder.ts";
import { differentiate } from "../../program/differentiate.ts";
import type { DType, Program, Value } from "../../program/graph.ts";
import { crossEntropy, mul, reduceSum, reshape, sub } from "../../program/ops/index.ts";
import { addUpdates, type OptimizerRule } from "../../train/step/step.ts";

export interface TaskForm {
  readonly batch: number;
  readonly length: number;
  readonly kind: "classes" | "values";
}

function logitsOf(b: ProgramBuilder, headed: HeadedModel, { batch, length }: TaskForm, rate: number): Value {
  const { model } = headed;
  const input = (name: string, count: number, dtype: DType = "i32") => b.input(name, [count], dtype, batch);
  const counted = positionsOf(model, new Int32Array(length), length) !== undefined;
  const inputs = {
    ids: input("ids", batch * length),
    types: model.dimensions.types > 1 ? input("types", batch * length) : undefined,
    positions: counted ? input("positions", batch * length) : undefined,
    mask: input("mask", batch * length, "f32"),
    gather: input("gather", batch),
  };
  const key = rate > 0 ? b.input("key", [2], "i32") : undefined;
  const rates = { embedding: rate, attention: rate, hidden: rate };
  const result = forward(b, model, inputs, {
    ...{ batch, length },
    dropout: key === undefined ? undefined : { rates, key },
  });
  const rows = result.hidden[result.hidden.length - 1];
  return taskLogits(b, headed, rows, result, key === undefined ? undefined : { rate, key });
}

/** Inputs: those of a batch (examples.ts), `rate`, and with dropout `key`. Outputs: `loss` and the gradient's `norm`. */
export function trainingProgram(
  headed: HeadedModel,
  form: TaskForm,
  optimizer: OptimizerRule & { readonly dropout: number; readonly layer_decay: number },
): Program {
  const b = new ProgramBuilder();
  const logits = logitsOf(b, headed, form, optimizer.dropout);
  const labels = b.input("labels", [form.batch], form.kind === "classes" ? "i32" : "f32", form.batch);
  const weights = b.input("weights", [form.batch], "f32", form.batch);
  const loss =
    form.kind === "classes" ? crossEntropy(b, logits, labels, weights).loss : squares(b, logits, labels, weights);
  b.output("loss", loss);
  const { model } = headed;
  const trained = model.parameters;
  const gradients = differentiate(
    b,
    loss,
    trained.map((parameter) => b.state(parameter.name, shapeOf(parameter))),
  );
  const updated = trained.map((parameter) => ({
    ...{ name: parameter.name, shape: shapeOf(parameter), decays: parameter.decays },
    share: optimizer.layer_decay ** below(model, parameter),
  }));
  addUpdates(b, updated, gradients, optimizer);
  return b.build();
}

/** How many layers stand above a parameter, the head counted as one. */
function below({ dimensions }: Model, { group, layer }: Parameter): number {
  if (layer !== null) return dimensions.layers - layer;
  return group === "head" ? 0 : dimensions.layers + 1;
}

function squares(b: ProgramBuilder, logits: Value, labels: Value, weights: Value): Value {
  const off = sub(b, reshape(b, logits, labels.shape), labels);
  return reduceSum(b, mul(b, weights, mul(b, off, off)), [0]);
}

export function predictingProgram(headed: HeadedModel, form: TaskForm): Program {
  const b = new ProgramBuilder();
  b.output("logits", logitsOf(b, headed, form, 0));
  return b.build();
}
