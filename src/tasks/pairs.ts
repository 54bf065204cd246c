/**
 * Minimal pairs: which of two sentences a model finds more probable. BLiMP (Warstadt et al., TACL 2020) is many files of
 * them, counted for each phenomenon and paradigm too. As lm-evaluation-harness has its task `blimp`, a sentence follows
 * a space, and of two that are equally probable the good one is taken.
 */
import type { Json } from "../util/json.ts";
import { needText, textIn } from "./rows.ts";
import { type RowTask, rowTask, shareOf } from "./task.ts";

/** Names a group may have in a row, and what its counts are called. */
const GROUPS = [
  ["groups", ["linguistics_term", "phenomenon", "group"]],
  ["paradigms", ["UID", "paradigm"]],
] as const;

interface Item extends Json {
  readonly good: number;
  readonly bad: number;
  readonly correct: boolean;
}

const countsOf = (items: readonly Item[]) => ({
  accuracy: shareOf(items, ({ correct }) => correct),
  items: items.length,
});

const pairs: Omit<RowTask<Item>, "name"> = {
  read(row, causal) {
    const groups = GROUPS.flatMap(([kind, names]) => {
      const name = textIn(row, ...names);
      return name === undefined ? [] : [[kind, name] as const];
    });
    const texts = [needText(row, "sentence_good", "good"), needText(row, "sentence_bad", "bad")];
    return {
      requests: texts.map((text) => ({ context: "", text: (causal ? " " : "") + text, where: row.where })),
      item: ([{ logprob: good }, { logprob: bad }]) => {
        return { ...Object.fromEntries(groups), good, bad, correct: good >= bad };
      },
    };
  },
  figures(items) {
    const kinds = new Set(items.flatMap((item) => GROUPS.flatMap(([kind]) => (kind in item ? [kind] : []))));
    const grouped = [...kinds].map((kind) => {
      const names = [...new Set(items.flatMap((item) => item[kind] ?? []))];
      const counts = names.map((name) => [name, countsOf(items.filter((item) => item[kind] === name))]);
      return [kind, Object.fromEntries(counts)];
    });
    return { ...countsOf(items), ...Object.fromEntries(grouped) };
  },
};

export const blimp = rowTask({ name: "blimp", ...pairs });
export const minimalPairs = rowTask({ name: "minimal-pairs", ...pairs });
