/**
 * Heads for tasks: what stands on a network to classify texts or give them a value, as transformers' classes have it
 * (BertForSequenceClassification and its like). Which layers, under which names, is the architecture's to say.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import { dropout } from "../program/dropout.ts";
import type { Value } from "../program/graph.ts";
import { linear, tanh } from "../program/ops/index.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import type { Model } from "./architecture.ts";
import type { ForwardResult } from "./forward.ts";
import { readingWithHead } from "./head.ts";
import type { OpenModel } from "./load.ts";
import { drawn, linearLayer, out, type Place, reads } from "./parameters.ts";
import { ModelStates } from "./states.ts";

/** A head as an architecture describes it. */
export interface TaskHead {
  /** transformers' class. */
  readonly name: string;
  /** What it reads: the first position, or the last that is no padding. */
  readonly reads: "first" | "last";
  /** Whether the network's own pooler comes before it. */
  readonly pooler?: boolean;
  /** A layer of the hidden size with tanh before the last one. */
  readonly dense?: string;
  /** The layer that makes the logits, and whether it has a bias. */
  readonly out: string;
  readonly bias: boolean;
  /** Whether dropout stands before each of its layers. */
  readonly drops: boolean;
}

/** The kinds of tasks there are heads for. */
export type TaskKind = "sequence";
export type TaskHeads = Readonly<Record<TaskKind, TaskHead>>;

/** A network with a head for a task. */
export interface HeadedModel {
  readonly model: Model;
  readonly head: TaskHead;
  /** Its weights: the checkpoint's, and drawn where that has none. */
  readF32(name: string): Promise<Float32Array>;
}

/**
 * @param labels how many logits it makes @param config keys that its config gets
 * @throws UserError if its architecture has no such head
 */
export function withTaskHead(
  opened: OpenModel,
  kind: TaskKind,
  labels: number,
  seed: number,
  config: Json,
): HeadedModel {
  const { folder, model: source } = opened;
  const { architecture } = source;
  const head = architecture.taskHeads?.[kind];
  if (head === undefined) {
    throw new UserError(`a ${architecture.type} has no head for this task here`, folder, "use a model of another one");
  }
  const bare = architecture.model(opened.config, folder, { lm: "none", pooler: head.pooler ?? false, nsp: false });
  const full = architecture.model(opened.config, folder, { lm: "tied", pooler: false, nsp: false });
  const prefix = full.parameters[0].name.slice(0, -bare.parameters[0].name.length);
  const init = drawn(bare.network.drawing);
  const place: Place = { prefix: "", layer: null, group: "head" };
  const { hidden } = bare.dimensions;
  const read = reads(["hidden", hidden]);
  const parameters = [
    ...bare.parameters.map((parameter) => ({ ...parameter, name: prefix + parameter.name })),
    ...(head.dense === undefined ? [] : linearLayer(place, head.dense, "head", [out(["pooler", hidden]), read], init)),
    ...linearLayer(place, head.out, "head", [out(["label", labels]), read], init, head.bias),
  ];
  const model: Model = { ...bare, parameters, config: { ...bare.config, ...config, architectures: [head.name] } };
  return { model, head, readF32: readingWithHead(opened, model, seed) };
}

/** The logits of rows of the final hidden state [n, hidden] → [n, labels]. @param drop where dropout is on */
export function taskLogits(
  b: ProgramBuilder,
  { model, head }: Pick<HeadedModel, "model" | "head">,
  rows: Value,
  { pooled }: Pick<ForwardResult, "pooled">,
  drop?: { readonly rate: number; readonly key: Value },
): Value {
  const states = new ModelStates(b, model);
  const dropped = (x: Value, place: string) =>
    drop === undefined || !head.drops ? x : dropout(b, x, drop.key, drop.rate, `dropout/head/${place}`);
  const layer = (x: Value, kind: string) => {
    const [weight, bias] = [states.value(`${kind}.weight`), states.valueIf(`${kind}.bias`)];
    return linear(b, dropped(x, kind), weight, bias, { transposeWeight: true });
  };
  const first = head.pooler ? pooled(rows) : rows;
  return layer(head.dense === undefined ? first : tanh(b, layer(first, head.dense)), head.out);
}
