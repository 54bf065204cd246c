/** `bert2bert evaluate`: a model folder on prepared data's validation part, or on tasks that need no training. */
import type { Command } from "@commander-js/extra-typings";
import { UserError } from "../util/errors.ts";
import { gather, modelFolder, share, wholeNumber } from "./options.ts";
import { Progress, print, printJson, table } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<folder>", "a model folder", modelFolder)
    .option("--data <folder>", "what `prepare` wrote")
    .option("--objective <mlm|mlm+nsp|clm>", "default: the language model the head is for, without sentence pairs")
    .option("--sequences <n>", "sequences of a batch", wholeNumber("--sequences", 1), 16)
    .option("--masked <share>", "share of the tokens that is predicted (mlm)", share("--masked", 1), 0.15)
    .option("--documents <joined|apart>", "whether a sequence's documents see each other (default: joined)")
    .option(
      "--task <name=path>",
      "in place of --data, and may be given again: blimp, lambada, perplexity, minimal-pairs or multiple-choice, and its file or folder",
      gather,
      [],
    )
    .option("--items <file>", "with --task: each example's scores, as JSON Lines")
    .option("--report <file>", "with --task: the figures as a page")
    .option(
      "--window <n>",
      "with --task perplexity: tokens read at once (default: all that the model takes)",
      wholeNumber("--window", 1),
    )
    .option(
      "--stride <n>",
      "with --task perplexity: tokens that a window scores anew (default: all of it)",
      wholeNumber("--stride", 1),
    )
    .option("--engine <kind>", "which engine computes", "auto")
    .option("--threads <n>", "threads; default all", wholeNumber("--threads", 1))
    .option(
      "--json",
      "print {loss, perplexity, accuracy, tokens} as JSON, with pairs next_sentence {loss, accuracy}; with --task {tasks: {NAME: figures}}",
    )
    .action(async (folder, { data, task, items, report, window, stride, json, ...options }) => {
      const progress = new Progress(true);
      const telling = (of: string) => (done: number, all: number) => progress.update(() => `${done} of ${all} ${of}`);
      if (task.length > 0) {
        if (data !== undefined) throw new UserError("both --data and --task", "evaluate", "give one of them at a time");
        const { evaluateTasks, rowsOf } = await import("../tasks/evaluate.ts");
        const { engine, threads } = options;
        const chosen = { engine, threads, items, report, window, stride, progress: telling("texts") };
        const tasks = await evaluateTasks(folder, task, chosen);
        progress.end();
        if (json) return printJson({ tasks });
        const rows = Object.entries(tasks).flatMap(([name, figures]) => [[name], ...rowsOf(figures)]);
        return print(table(rows));
      }
      if (data === undefined) {
        const wayOut = "give --data, a folder that `bert2bert prepare` wrote, or --task NAME=PATH";
        throw new UserError("nothing to evaluate on is named", "evaluate", wayOut);
      }
      const { evaluateFolder } = await import("../train/evaluate-folder.ts");
      const result = await evaluateFolder(folder, data, { ...options, progress: telling("sequences") });
      progress.end();
      const { loss, perplexity, accuracy, tokens, next_sentence: next } = result;
      if (json) return printJson(result);
      const rows = [
        ["loss", loss.toFixed(4)],
        ["perplexity", perplexity.toFixed(3)],
        ["accuracy", accuracy.toFixed(4)],
        ["tokens", String(tokens)],
      ];
      const pairs = next && [
        ["next-sentence loss", next.loss.toFixed(4)],
        ["next-sentence accuracy", next.accuracy.toFixed(4)],
      ];
      print(table([...rows, ...(pairs ?? [])]));
    });
}
