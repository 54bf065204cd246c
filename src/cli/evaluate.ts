/** `bert2bert evaluate`: a model folder on prepared data's validation part, or on tasks that need no training. */
import type { Command } from "@commander-js/extra-typings";
import { UserError } from "../util/errors.ts";
import { gather, modelFolder, wholeNumber } from "./options.ts";
import { Progress, print, printJson, table } from "./output.ts";

interface Options {
  readonly data?: string;
  readonly task: readonly string[];
  readonly items?: string;
  readonly report?: string;
  readonly window?: number;
  readonly stride?: number;
  readonly objective?: string;
  readonly sequences: number;
  readonly masked: number;
  readonly documents?: string;
  readonly engine: string;
  readonly threads?: number;
  readonly json?: boolean;
}

export function register(command: Command): void {
  command
    .argument("<folder>", "a model folder", modelFolder)
    .option("--data <folder>", "what `prepare` wrote")
    .option("--objective <mlm|mlm+nsp|clm>", "default: the language model the head is for, without sentence pairs")
    .option("--sequences <n>", "sequences of a batch", wholeNumber("--sequences", 1), 16)
    .option("--masked <share>", "share of the tokens that is predicted (mlm)", Number, 0.15)
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
    .action(async (folder: string, options: Options) => {
      if (options.task.length > 0) return evaluateOnTasks(folder, options);
      if (options.data === undefined) {
        const wayOut = "give --data, a folder that `bert2bert prepare` wrote, or --task NAME=PATH";
        throw new UserError("nothing to evaluate on is named", "evaluate", wayOut);
      }
      const { evaluateFolder } = await import("../train/evaluate-folder.ts");
      const progress = new Progress(true);
      const result = await evaluateFolder(folder, options.data, {
        objective: options.objective,
        sequences: options.sequences,
        masked: options.masked,
        documents: options.documents,
        engine: options.engine,
        threads: options.threads,
        progress: (done, all) => progress.update(() => `${done} of ${all} sequences`),
      });
      progress.end();
      if (options.json)
        printJson({
          ...result,
          ...(result.next_sentence === undefined ? {} : { next_sentence: { ...result.next_sentence } }),
        });
      else {
        const { loss, perplexity, accuracy, tokens, next_sentence: next } = result;
        print(
          table([
            ["loss", loss.toFixed(4)],
            ["perplexity", perplexity.toFixed(3)],
            ["accuracy", accuracy.toFixed(4)],
            ["tokens", String(tokens)],
            ...(next === undefined
              ? []
              : [
                  ["next-sentence loss", next.loss.toFixed(4)],
                  ["next-sentence accuracy", next.accuracy.toFixed(4)],
                ]),
          ]),
        );
      }
    });
}

async function evaluateOnTasks(folder: string, options: Options): Promise<void> {
  if (options.data !== undefined)
    throw new UserError("both --data and --task", "evaluate", "give one of them at a time");
  const { evaluateTasks, rowsOf } = await import("../tasks/evaluate.ts");
  const progress = new Progress(true);
  const { engine, threads, items, report, window, stride } = options;
  const tasks = await evaluateTasks(folder, options.task, {
    ...{ engine, threads, items, report, window, stride },
    progress: (done, all) => progress.update(() => `${done} of ${all} texts`),
  });
  progress.end();
  if (options.json) return printJson({ tasks });
  print(table(Object.entries(tasks).flatMap(([name, figures]) => [[name], ...rowsOf(figures).map((row) => [...row])])));
}
