/** What a kind of task is: what it reads, under which head and by which loss it is learned, how it is scored. One line in kinds.ts. */
import type { TaskKind } from "../../model/task-head.ts";
import type { Json } from "../../util/json.ts";
import type { Encoded, Encoding } from "./examples.ts";
import type { LossKind } from "./programs.ts";
import type { TaskSettings } from "./settings.ts";
import type { Columns } from "./table.ts";

/** A task's parts as a model takes them. */
export interface TaskData {
  /** How many logits the head makes. */
  readonly labels: number;
  /** What a config says of them. */
  readonly config: Json;
  readonly train: readonly Encoded[];
  readonly validation: readonly Encoded[];
  /** Each metric's value. @param logits of each validation example, [positions read · labels] */
  score(logits: readonly Float32Array[]): Readonly<Record<string, number>>;
}

export interface Kind {
  readonly head: TaskKind;
  readonly loss: LossKind;
  /** As the Hub names it. */
  readonly pipeline: string;
  /** Tokens of an example at most, special ones included, where the task does not say. */
  readonly length: number;
  /** Its columns where the task names none. */
  readonly columns?: Pick<Columns, "text" | "label">;
  /** The first is the one that a model is judged by where none is named. */
  readonly metrics: readonly string[];
  /** @throws UserError naming the line of what does not fit */
  load(settings: TaskSettings, encoding: Encoding): Promise<TaskData>;
}
