/** `bert2bert evaluate`: loss, perplexity and accuracy of a model folder on prepared data's validation part. */
import type { Command } from "commander";
import { modelFolder, wholeNumber } from "./options.ts";
import { Progress, print, printJson, table } from "./output.ts";

interface Options {
  readonly data: string;
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
    .requiredOption("--data <folder>", "what `prepare` wrote")
    .option("--objective <mlm|mlm+nsp|clm>", "default: the language model the head is for, without sentence pairs")
    .option("--sequences <n>", "sequences of a batch", wholeNumber("--sequences", 1), 16)
    .option("--masked <share>", "share of the tokens that is predicted (mlm)", Number, 0.15)
    .option("--documents <joined|apart>", "whether a sequence's documents see each other (default: joined)")
    .option("--engine <kind>", "which engine computes", "auto")
    .option("--threads <n>", "threads; default all", wholeNumber("--threads", 1))
    .option("--json", "print {loss, perplexity, accuracy, tokens} as JSON, with pairs next_sentence {loss, accuracy}")
    .action(async (folder: string, options: Options) => {
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
