/** LAMBADA (Paperno et al., ACL 2016): the last word of a passage. As lm-evaluation-harness has its task `lambada_openai`. */
import { UserError } from "../util/errors.ts";
import { needText } from "./rows.ts";
import { perplexityOf, rowTask, shareOf } from "./task.ts";

export const lambada = rowTask({
  name: "lambada",
  causalOnly: "the last word has as many tokens as a masked model is told, which gives it away",
  read(row) {
    const text = needText(row, "text");
    const space = text.lastIndexOf(" ");
    if (space < 0) throw new UserError("a single word", row.where, "give a passage whose last word is to be found");
    return {
      requests: [{ context: text.slice(0, space), text: text.slice(space), where: row.where }],
      item: ([{ logprob, greedy }]) => ({ logprob, correct: greedy }),
    };
  },
  figures: (items) => ({
    accuracy: shareOf(items, ({ correct }) => correct),
    perplexity: perplexityOf(
      items.reduce((sum, { logprob }) => sum + logprob, 0),
      items.length,
    ),
    items: items.length,
  }),
});
