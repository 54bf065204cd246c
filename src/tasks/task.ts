/** What a task without training is: examples read, scored by a language model, and counted. One file a kind, one line in tasks.ts. */
import type { Json } from "../util/json.ts";
import type { Scorer } from "./score.ts";

export interface TaskResult {
  /** As `--json` prints them; shares of 1. */
  readonly figures: Json;
  /** Each example's scores, in the order of the file. */
  readonly items: readonly Json[];
}

export interface Task {
  readonly name: string;
  /** Why masked models can't do it; absent: they can. */
  readonly causalOnly?: string;
  /** @throws UserError naming the line of what does not fit */
  run(path: string, scorer: Scorer): Promise<TaskResult>;
}
