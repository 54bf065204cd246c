/**
 * Heads for tasks: what stands on a network to classify texts, give them a value, classify their tokens or find a span of
 * them, as transformers' classes have it (BertForSequenceClassification and its like). Which layers, under which names, is the architecture's to say.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import type { Value } from "../program/graph.ts";
import { dropout, linear, tanh } from "../program/ops/index.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import type { Model } from "./architecture.ts";
import type { Activation } from "./config.ts";
import type { ForwardResult } from "./forward.ts";
import { activated } from "./frame.ts";
import { readingWithHead } from "./head.ts";
import type { OpenModel } from "./load.ts";
import { drawn, linearLayer, out, type Place, reads } from "./parameters.ts";
import { statesOf } from "./states.ts";

/** A head as an architecture describes it. */
export interface TaskHead {
  /** transformers' class. */
  readonly name: string;
  /** What stands before the network's names, where that is not what does before a language model's. */
  readonly prefix?: string;
  /** What it reads: the first position, the last that is no padding, or all. */
  readonly reads: "first" | "last" | "all";
  /** Whether the network's own pooler comes before it. */
  readonly pooler?: boolean;
  /** Whether the transform of the language model's head does. */
  readonly transform?: boolean;
  /** A layer of the hidden size before the last one, and its activation, by default tanh. */
  readonly dense?: string;
  readonly activation?: Activation;
  /** The layer that makes the logits, and whether it has a bias. */
  readonly out: string;
  readonly bias: boolean;
  /** Keys that a config says it with. */
  readonly config?: Json;
  /** Before which of its layers dropout stands. */
  readonly drops: readonly ("dense" | "out")[];
}

/** The kinds of tasks there are heads for. */
export type TaskKind = "sequence" | "tokens" | "spans";
export type TaskHeads = Readonly<Partial<Record<TaskKind, TaskHead>>>;

/** The heads that read all positions: transformers has them alike in its classes. @param title a class's name begins with */
export function tokensHead(title: string, out = "classifier"): TaskHeads {
  return { tokens: { name: `${title}ForTokenClassification`, reads: "all", out, bias: true, drops: ["out"] } };
}
/** @param own what it has otherwise than most */
export function spansHead(title: string, own: Pick<Partial<TaskHead>, "prefix" | "drops"> = {}): TaskHeads {
  const head = { name: `${title}ForQuestionAnswering`, reads: "all", out: "qa_outputs", bias: true } as const;
  return { spans: { ...head, drops: [], ...own } };
}

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
  const prefix = head.prefix ?? full.parameters[0].name.slice(0, -bare.parameters[0].name.length);
  const init = drawn(bare.network.drawing);
  const place: Place = { prefix: "", layer: null, group: "head" };
  const { hidden } = bare.dimensions;
  const read = reads(["hidden", hidden]);
  const { dense, norm } = (head.transform && bare.network.lm.transform) || {};
  const transform = [dense, norm].flatMap((name) => [`${name}.weight`, `${name}.bias`]);
  const parameters = [
    ...bare.parameters.map((parameter) => ({ ...parameter, name: prefix + parameter.name })),
    ...full.parameters.filter(({ kind }) => transform.includes(kind)),
    ...(head.dense === undefined ? [] : linearLayer(place, head.dense, "head", [out(["pooler", hidden]), read], init)),
    ...linearLayer(place, head.out, "head", [out(["label", labels]), read], init, head.bias),
  ];
  const model: Model = {
    ...bare,
    parameters,
    config: { ...bare.config, ...head.config, ...config, architectures: [head.name] },
  };
  return { model, head, readF32: readingWithHead(opened, model, seed) };
}

/** The logits of rows of the final hidden state [n, hidden] → [n, labels]. @param drop where dropout is on */
export function taskLogits(
  b: ProgramBuilder,
  { model, head }: Pick<HeadedModel, "model" | "head">,
  rows: Value,
  { pooled, transformed }: Pick<ForwardResult, "pooled" | "transformed">,
  drop?: { readonly rate: number; readonly key: Value },
): Value {
  const states = statesOf(b, model);
  const layer = (rows: Value, kind: string, place: "dense" | "out") => {
    const drops = drop !== undefined && head.drops.includes(place);
    const x = drops ? dropout(b, rows, drop.key, drop.rate, `dropout/head/${kind}`) : rows;
    const [weight, bias] = [states.value(`${kind}.weight`), states.valueIf(`${kind}.bias`)];
    return linear(b, x, weight, bias, { transposeWeight: true });
  };
  let x = head.pooler ? pooled(rows) : rows;
  if (head.transform) x = transformed(x);
  if (head.dense !== undefined) {
    x = layer(x, head.dense, "dense");
    x = head.activation === undefined ? tanh(b, x) : activated(b, x, head.activation);
  }
  return layer(x, head.out, "out");
}
