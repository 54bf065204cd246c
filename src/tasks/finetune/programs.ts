/** The programs of fine-tuning: a step of one batch, and what the head says of one. Losses are transformers' own. */
import type { Model } from "../../model/architecture.ts";
import { forward } from "../../model/forward.ts";
import { type Parameter, shapeOf } from "../../model/table.ts";
import { type HeadedModel, taskLogits } from "../../model/task-head.ts";
import { ProgramBuilder } from "../../program/builder.ts";
import { differentiate } from "../../program/differentiate.ts";
import type { DType, Program, Value } from "../../program/graph.ts";
import { crossEntropy, mul, reduceSum, reshape, sub, transpose } from "../../program/ops/index.ts";
import { addUpdates, type OptimizerRule } from "../../train/step/step.ts";
import { type Shape, sequenceInputs } from "../forward.ts";

/** A class or a value of each row of the logits; or, of each sequence, where a span begins and where it ends. */
export type LossKind = "classes" | "values" | "spans";

export interface TaskForm extends Shape {
  readonly loss: LossKind;
  /** Labels of a sequence, each with its weight. */
  readonly labels: number;
}

export function formOf({ head }: Pick<HeadedModel, "head">, batch: number, length: number, loss: LossKind): TaskForm {
  const wanted = head.reads === "all" ? length : 1;
  return { batch, length, wanted, loss, labels: loss === "spans" ? 2 : wanted };
}

function lossOf(b: ProgramBuilder, logits: Value, labels: Value, weights: Value, form: TaskForm): Value {
  if (form.loss === "classes") return crossEntropy(b, logits, labels, weights).loss;
  if (form.loss === "spans") {
    const { batch, length } = form;
    const sides = transpose(b, reshape(b, logits, [batch, length, 2]), [0, 2, 1]);
    return crossEntropy(b, reshape(b, sides, [2 * batch, length]), labels, weights).loss;
  }
  const off = sub(b, reshape(b, logits, labels.shape), labels);
  return reduceSum(b, mul(b, weights, mul(b, off, off)), [0]);
}

/** Inputs: those of a batch (examples.ts) less what tells right from wrong. Output: `logits` [batch · wanted, labels]. */
function logitsOf(b: ProgramBuilder, headed: HeadedModel, form: TaskForm, rate: number): Value {
  const { model } = headed;
  const inputs = sequenceInputs(b, model, form, true);
  const key = rate > 0 ? b.input("key", [2], "i32") : undefined;
  const rates = { embedding: rate, attention: rate, hidden: rate };
  const { batch, length } = form;
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
  const given = (name: string, dtype: DType) => b.input(name, [form.batch * form.labels], dtype, form.batch);
  const labels = given("labels", form.loss === "values" ? "f32" : "i32");
  const loss = lossOf(b, logits, labels, given("weights", "f32"), form);
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

export function predictingProgram(headed: HeadedModel, form: TaskForm): Program {
  const b = new ProgramBuilder();
  b.output("logits", logitsOf(b, headed, form, 0));
  return b.build();
}
