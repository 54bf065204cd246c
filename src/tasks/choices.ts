/**
 * Multiple choice in JSON Lines: `context` (may be absent), `choices` (texts), `label` (the right one's number from 0, or
 * its text). As lm-evaluation-harness has `multiple_choice`: each choice follows the context and a space; chosen is the
 * most probable, and once more the most probable per character (`accuracyNorm`, its acc_norm).
 */
import { UserError } from "../util/errors.ts";
import { largestAt } from "./forward.ts";
import { textIn, valueIn } from "./rows.ts";
import { rowTask, shareOf } from "./task.ts";

export const multipleChoice = rowTask({
  name: "multiple-choice",
  read(row) {
    const { where } = row;
    const given = valueIn(row, "choices", "endings");
    const choices = Array.isArray(given) ? given.filter((one) => typeof one === "string") : [];
    if (!Array.isArray(given) || choices.length !== given.length || choices.length < 2) {
      throw new UserError("`choices` is not a list of texts, two at least", where, 'write "choices": ["…", "…"]');
    }
    const right = valueIn(row, "label", "answer", "gold") ?? Number.NaN;
    const label = typeof right === "string" && choices.includes(right) ? choices.indexOf(right) : Number(right);
    if (choices[label] === undefined) {
      const wayOut = `give the right choice's number, 0 to ${choices.length - 1}, or its text`;
      throw new UserError("`label` names none of the choices", where, wayOut);
    }
    const context = textIn(row, "context", "question", "query") ?? "";
    return {
      requests: choices.map((choice) => ({ context, text: ` ${choice}`, where })),
      item: (scores) => {
        const logprobs = scores.map(({ logprob }) => logprob);
        const normed = logprobs.map((logprob, i) => logprob / [...choices[i]].length);
        return { logprobs, label, correct: largestAt(logprobs) === label, correctNorm: largestAt(normed) === label };
      },
    };
  },
  figures: (items) => ({
    accuracy: shareOf(items, ({ correct }) => correct),
    accuracyNorm: shareOf(items, ({ correctNorm }) => correctNorm),
    items: items.length,
  }),
});
