/**
 * Minimal pairs: which of two sentences a model finds more probable. BLiMP (Warstadt et al., TACL 2020) is many files of
 * them, counted for each phenomenon and paradigm too. As lm-evaluation-harness has its task `blimp`, a sentence follows
 * a space, and of two that are equally probable the good one is taken.
 */
import type { Json } from "../util/json.ts";
import { jsonRows, needText, textIn } from "./rows.ts";
import type { Scorer } from "./score.ts";
import type { Task, TaskResult } from "./task.ts";

interface Pair {
  readonly good: string;
  readonly bad: string;
  readonly where: string;
  /** In which counts it stands, by what kind of group. */
  readonly groups: Readonly<Record<string, string>>;
}

/** Names a group may have in a row, and what its counts are called. */
const GROUPS = [
  ["groups", ["linguistics_term", "phenomenon", "group"]],
  ["paradigms", ["UID", "paradigm"]],
] as const;

async function run(path: string, scorer: Scorer): Promise<TaskResult> {
  const pairs: Pair[] = [];
  for await (const row of jsonRows(path)) {
    const groups = GROUPS.flatMap(([kind, names]) => {
      const name = textIn(row, ...names);
      return name === undefined ? [] : [[kind, name] as const];
    });
    pairs.push({
      good: needText(row, "sentence_good", "good"),
      bad: needText(row, "sentence_bad", "bad"),
      where: row.where,
      groups: Object.fromEntries(groups),
    });
  }
  const before = scorer.lm.causal ? " " : "";
  const requests = pairs.flatMap(({ good, bad, where }) =>
    [good, bad].map((text) => ({ context: "", text: before + text, where })),
  );
  const scores = await scorer.likelihoods(requests);
  const counts = new Map<string, Map<string, { correct: number; items: number }>>();
  let correct = 0;
  const items = pairs.map(({ groups }, i) => {
    const [good, bad] = [scores[2 * i].logprob, scores[2 * i + 1].logprob];
    const right = good >= bad;
    correct += Number(right);
    for (const [kind, name] of Object.entries(groups)) {
      const all = counts.get(kind) ?? new Map<string, { correct: number; items: number }>();
      const count = all.get(name) ?? { correct: 0, items: 0 };
      counts.set(kind, all.set(name, { correct: count.correct + Number(right), items: count.items + 1 }));
    }
    return { ...groups, good, bad, correct: right };
  });
  const grouped = [...counts].map(([kind, all]): [string, Json] => {
    const shares = [...all].map(
      ([name, one]) => [name, { accuracy: one.correct / one.items, items: one.items }] as const,
    );
    return [kind, Object.fromEntries(shares)];
  });
  return { figures: { accuracy: correct / pairs.length, items: pairs.length, ...Object.fromEntries(grouped) }, items };
}

export const blimp: Task = { name: "blimp", run };
export const minimalPairs: Task = { name: "minimal-pairs", run };
