/**
 * Multiple choice in JSON Lines: `context` (may be absent), `choices` (texts), `label` (the right one's number from 0, or
 * its text). As lm-evaluation-harness has `multiple_choice`: each choice follows the context and a space; chosen is the
 * most probable, and once more the most probable per character (`accuracyNorm`, its acc_norm).
 */
import { UserError } from "../util/errors.ts";
import type { JsonValue } from "../util/json.ts";
import { jsonRows, type Row, textIn } from "./rows.ts";
import type { Request } from "./score.ts";
import type { Task } from "./task.ts";

function under({ values }: Row, ...names: readonly string[]): JsonValue | undefined {
  const name = names.find((one) => Object.hasOwn(values, one));
  return name === undefined ? undefined : values[name];
}

function read(row: Row) {
  const given = under(row, "choices", "endings");
  const choices = Array.isArray(given) ? given.filter((one) => typeof one === "string") : [];
  if (!Array.isArray(given) || choices.length !== given.length || choices.length < 2) {
    throw new UserError("`choices` is not a list of texts, two at least", row.where, 'write "choices": ["…", "…"]');
  }
  const label = under(row, "label", "answer", "gold");
  const number =
    typeof label === "string" && choices.includes(label) ? choices.indexOf(label) : Number(label ?? Number.NaN);
  if (Number.isInteger(number) && number >= 0 && number < choices.length) {
    return { context: textIn(row, "context", "question", "query") ?? "", choices, label: number, where: row.where };
  }
  const wayOut = `give the right choice's number, 0 to ${choices.length - 1}, or its text`;
  throw new UserError("`label` names none of the choices", row.where, wayOut);
}

/** The first of the largest. */
function largest(values: readonly number[]): number {
  return values.indexOf(Math.max(...values));
}

export const multipleChoice: Task = {
  name: "multiple-choice",
  async run(path, scorer) {
    const questions: ReturnType<typeof read>[] = [];
    for await (const row of jsonRows(path)) questions.push(read(row));
    const requests = questions.flatMap(({ context, choices, where }) =>
      choices.map((choice): Request => ({ context, text: ` ${choice}`, where })),
    );
    const scores = await scorer.likelihoods(requests);
    let at = 0;
    const items = questions.map(({ choices, label }) => {
      const logprobs = scores.slice(at, at + choices.length).map(({ logprob }) => logprob);
      at += choices.length;
      const normed = logprobs.map((logprob, i) => logprob / [...choices[i]].length);
      return { logprobs, label, correct: largest(logprobs) === label, correctNorm: largest(normed) === label };
    });
    const share = (key: "correct" | "correctNorm") => items.filter((item) => item[key]).length / items.length;
    return { figures: { accuracy: share("correct"), accuracyNorm: share("correctNorm"), items: items.length }, items };
  },
};
