/**
 * A training step as programs: forward pass, loss, gradients, clipping by the global norm, AdamW.
 *
 * Without accumulation it is one program. With it, a gradient program adds a micro-batch's gradients to accumulators
 * and an apply program clips, updates and empties them. What does not train in a step is not in the program at all: no
 * decay, no change of moments, no step count. States: the parameters under their names, `m/NAME` and `v/NAME` (the
 * moments), `steps/NAME` (updates so far), `sum/NAME` (an accumulator). Inputs: those of model/objectives.ts, and the
 * scalar `rate` where the update is. Outputs: `loss` of a batch, `norm` of the whole gradient before clipping; of an
 * objective of two terms `lm`, `nsp` (the terms) and `nsp_correct` (pairs told rightly) as well.
 *
 * Lineage: torch.optim.AdamW with torch.nn.utils.clip_grad_norm_ (the factor is min(1, clip / (norm + 1e-6))).
 */
import type { Model } from "../../model/architecture.ts";
import type { StepShape } from "../../model/flops.ts";
import { buildLoss, type LossOptions } from "../../model/objectives.ts";
import { type Parameter, shapeOf } from "../../model/table.ts";
import { ProgramBuilder } from "../../program/builder.ts";
import { differentiate } from "../../program/differentiate.ts";
import { flops } from "../../program/flops.ts";
import type { Node, Program, Value } from "../../program/graph.ts";
import { adamw, add, constant, globalNorm, mul, positive, recip, scale, sub } from "../../program/ops/index.ts";
import type { SubModel } from "../plan/stage.ts";
import { type Parametrization, parametrize } from "./parametrization.ts";

export interface OptimizerRule extends Parametrization {
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  /** Largest global gradient norm; 0: no clipping. */
  readonly clip: number;
}

/** What a step runs on: a micro-batch's form, the sub-model, and whether the heads train. */
export interface StepForm {
  readonly loss: Omit<LossOptions, "layers" | "trainFrom">;
  readonly model: SubModel;
  readonly head: boolean;
  /** Micro-batches a step. */
  readonly accumulate: number;
}

export interface StepPrograms {
  /** The parameters that the step changes. */
  readonly trained: readonly Parameter[];
  /** Run once a micro-batch. Without accumulation it is the whole step. */
  readonly batch: Program;
  /** Run after the micro-batches; absent without accumulation. */
  readonly apply: Program | undefined;
  /** Operations of a whole step, a multiply-add as two. */
  readonly flops: number;
}

export const momentNames = (name: string) => ({ m: `m/${name}`, v: `v/${name}`, steps: `steps/${name}` });
export const accumulatorName = (name: string) => `sum/${name}`;

/** The programs of one step. */
export function buildStep(model: Model, form: StepForm, optimizer: OptimizerRule): StepPrograms {
  const b = new ProgramBuilder();
  const { loss, lm, nsp } = buildLoss(b, model, {
    ...form.loss,
    layers: form.model.layers,
    trainFrom: trainFrom(form.model),
  });
  const reached = reaching(b, loss);
  const trained = model.parameters.filter(
    (parameter) => mayTrain(parameter, form) && reached.has(stateOf(b, parameter).id),
  );
  const gradients = differentiate(
    b,
    loss,
    trained.map((parameter) => stateOf(b, parameter)),
  );
  b.output("loss", loss);
  if (nsp !== undefined) {
    b.output("lm", lm);
    b.output("nsp", nsp.loss);
    b.output("nsp_correct", nsp.correct);
  }
  const factors = parametrize(model, optimizer);
  const updates = trained.map((parameter): Updated => {
    const { rate } = factors(parameter);
    return { name: parameter.name, shape: shapeOf(parameter), decays: parameter.decays, share: rate, decay: 1 / rate };
  });
  if (form.accumulate === 1) {
    addUpdates(b, updates, gradients, optimizer);
    const batch = b.build();
    return { trained, batch, apply: undefined, flops: flops(batch).total };
  }
  trained.forEach((parameter, i) => {
    const sum = b.state(accumulatorName(parameter.name), shapeOf(parameter));
    b.update(accumulatorName(parameter.name), add(b, sum, gradients[i]));
  });
  const batch = b.build();
  const apply = applyProgram(updates, optimizer);
  return { trained, batch, apply, flops: form.accumulate * flops(batch).total + flops(apply).total };
}

/** Clips the accumulated gradients, updates, and empties the accumulators. */
function applyProgram(updates: readonly Updated[], optimizer: OptimizerRule): Program {
  const b = new ProgramBuilder();
  const sums = updates.map(({ name, shape }) => b.state(accumulatorName(name), shape));
  addUpdates(b, updates, sums, optimizer);
  for (const { name, shape } of updates) b.update(accumulatorName(name), constant(b, 0, shape));
  return b.build();
}

/** What an update needs to know of what it changes. */
export interface Updated {
  readonly name: string;
  readonly shape: readonly number[];
  readonly decays: boolean;
  /** Of the step's rate; default 1. */
  readonly share?: number;
  /** Of the rule's weight decay; default 1. */
  readonly decay?: number;
}

/** Clips the gradients together and updates by AdamW; the output `norm` is theirs before clipping. */
export function addUpdates(
  b: ProgramBuilder,
  trained: readonly Updated[],
  gradients: readonly Value[],
  { betas, eps, weight_decay, clip }: OptimizerRule,
): void {
  const norm = globalNorm(b, gradients);
  b.output("norm", norm);
  const factor = clip === 0 ? constant(b, 1) : clipFactor(b, norm, clip);
  const rate = b.input("rate", []);
  trained.forEach((parameter, i) => {
    const names = momentNames(parameter.name);
    const { shape, share = 1, decay = 1 } = parameter;
    const next = adamw(
      b,
      {
        param: b.state(parameter.name, shape),
        grad: gradients[i],
        m: b.state(names.m, shape),
        v: b.state(names.v, shape),
        steps: b.state(names.steps, []),
        clip: factor,
        rate: share === 1 ? rate : scale(b, rate, share),
      },
      { beta1: betas[0], beta2: betas[1], eps, decay: parameter.decays ? weight_decay * decay : 0 },
    );
    b.update(parameter.name, next.param);
    b.update(names.m, next.m);
    b.update(names.v, next.v);
    b.update(names.steps, next.steps);
  });
}

/** min(1, clip / (norm + 1e-6)); not finite where the norm is not. */
function clipFactor(b: ProgramBuilder, norm: Value, clip: number): Value {
  const one = constant(b, 1);
  const factor = scale(b, recip(b, add(b, norm, constant(b, 1e-6))), clip);
  const below = sub(b, factor, one);
  return add(b, one, mul(b, below, positive(b, sub(b, one, factor))));
}

/**
 * Whether a parameter belongs to what a step trains. Embeddings train with the bottom block; one that the head reads
 * as well (the tied matrix) trains with the head: whether it does follows from what reaches the loss, since nothing
 * passes below the lowest trained block.
 */
function mayTrain({ layer, group }: Parameter, { model: { layers, train, blocks }, head }: StepForm): boolean {
  if (layer !== null) return blocks?.includes(layer) ?? (layer >= layers - train && layer < layers);
  if (group === "head") return head;
  return head || (blocks === undefined && train === layers);
}

function stateOf(b: ProgramBuilder, parameter: Parameter): Value {
  return b.state(parameter.name, shapeOf(parameter));
}

/** The ids of all values from which a gradient of the loss is to be had. */
function reaching(b: ProgramBuilder, loss: Value): ReadonlySet<number> {
  const reached = new Set([loss.id]);
  const nodes: readonly Node[] = b.nodes;
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i];
    if (node.op.stops || !node.outputs.some((output) => reached.has(output.id))) continue;
    for (const input of node.inputs) if (input.dtype === "f32") reached.add(input.id);
  }
  return reached;
}

/** Sums over a batch, dropout off, nothing changed: `loss` (weighted, the language model's), `correct`; of pairs `nsp`, `nsp_correct`. */
export function buildEvaluation(model: Model, loss: Omit<LossOptions, "layers" | "trainFrom" | "dropout">): Program {
  const b = new ProgramBuilder();
  const built = buildLoss(b, model, loss);
  b.output("loss", built.lm);
  b.output("correct", built.correct);
  if (built.nsp !== undefined) {
    b.output("nsp", built.nsp.loss);
    b.output("nsp_correct", built.nsp.correct);
  }
  return b.build();
}

/** What distinguishes one step's programs from another's of the same model and run. */
export function formKey({ model, head }: Pick<StepForm, "model" | "head">): string {
  return `${model.layers}/${model.blocks?.join("+") ?? model.train}/${head ? "head" : "-"}`;
}

/** The lowest block that trains. */
export function trainFrom({ layers, train, blocks }: SubModel): number {
  return blocks?.[0] ?? layers - train;
}

/** What runs and what trains in a step, as the papers' FLOP convention wants it. */
export function trainedOf({ model, head }: StepForm): Pick<StepShape, "layers" | "trainFrom" | "train" | "head"> {
  return { layers: model.layers, trainFrom: trainFrom(model), train: model.train, head };
}
