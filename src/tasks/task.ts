/** What a task without training is: examples read, scored by a language model, and counted. One file a kind, one line in evaluate.ts. */
import type { Json } from "../util/json.ts";
import { jsonRows, type Row } from "./rows.ts";
import type { Request, Score, Scorer } from "./score.ts";

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

/** A task of JSON Lines, each row a few texts to be scored. */
export interface RowTask<Item extends Json> extends Omit<Task, "run"> {
  /** @returns what is to be scored, and what the scores say @throws UserError */
  read(row: Row, causal: boolean): { readonly requests: readonly Request[]; item(scores: readonly Score[]): Item };
  figures(items: readonly Item[]): Json;
}

export function rowTask<Item extends Json>({ read, figures, ...task }: RowTask<Item>): Task {
  return {
    ...task,
    async run(path, scorer) {
      const asked: ReturnType<typeof read>[] = [];
      for await (const row of jsonRows(path)) asked.push(read(row, scorer.lm.causal));
      const scores = await scorer.likelihoods(asked.flatMap(({ requests }) => requests));
      let end = 0;
      const items = asked.map(({ requests, item }) => {
        end += requests.length;
        return item(scores.slice(end - requests.length, end));
      });
      return { figures: figures(items), items };
    },
  };
}

/** The share of the items that are so. */
export function shareOf<Item>(items: readonly Item[], is: (item: Item) => boolean): number {
  return items.filter(is).length / items.length;
}

/** Per unit, of texts with this log-probability. */
export function perplexityOf(logprob: number, units: number): number {
  return Math.min(Math.exp(-logprob / units), Number.MAX_VALUE);
}
