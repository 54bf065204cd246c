/** LAMBADA (Paperno et al., ACL 2016): the last word of a passage. As lm-evaluation-harness has its task `lambada_openai`. */
import { UserError } from "../util/errors.ts";
import { jsonRows, needText } from "./rows.ts";
import type { Request } from "./score.ts";
import type { Task } from "./task.ts";

export const lambada: Task = {
  name: "lambada",
  causalOnly: "the last word has as many tokens as a masked model is told, which gives it away",
  async run(path, scorer) {
    const requests: Request[] = [];
    for await (const row of jsonRows(path)) {
      const text = needText(row, "text");
      const space = text.lastIndexOf(" ");
      if (space < 0) throw new UserError("a single word", row.where, "give a passage whose last word is to be found");
      requests.push({ context: text.slice(0, space), text: text.slice(space), where: row.where });
    }
    const scores = await scorer.likelihoods(requests);
    const items = scores.map(({ logprob, greedy }) => ({ logprob, correct: greedy }));
    const sum = scores.reduce((all, { logprob }) => all + logprob, 0);
    return {
      figures: {
        accuracy: scores.filter(({ greedy }) => greedy).length / scores.length,
        perplexity: Math.min(Math.exp(-sum / scores.length), Number.MAX_VALUE),
        items: scores.length,
      },
      items,
    };
  },
};
