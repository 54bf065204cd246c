/** `prepare FILE... --tokenizer FOLDER --out DATA --length N`: text to token blocks on disk. */
import type { Command } from "commander";
import { wholeNumber } from "./options.ts";
import { formatBytes, formatCount, formatDuration, note, Progress, print, printJson, table } from "./output.ts";

interface Options {
  readonly tokenizer: string;
  readonly out: string;
  readonly length: number;
  readonly validation: number;
  readonly threads?: number;
  readonly json?: boolean;
}

export function register(command: Command): void {
  command
    .argument("<files...>", "text files (.gz too), JSON Lines with a `text` field, or folders of them")
    .requiredOption("--tokenizer <folder>", "tokenizer.json, vocab.txt, or vocab.json and merges.txt")
    .requiredOption("--out <folder>", "the folder to write")
    .requiredOption("--length <n>", "tokens of a sequence, special tokens included", wholeNumber("--length"))
    .option("--validation <share>", "share of the documents held out, 0 for none", Number, 0.01)
    .option("--threads <n>", "workers (default: one a core)", wholeNumber("--threads", 1))
    .option("--json", "print the result as JSON")
    .action(async (files: string[], options: Options) => {
      const { prepare } = await import("../data/prepared/prepare.ts");
      const { infoJson } = await import("../data/prepared/dataset.ts");
      const progress = new Progress(true);
      const started = performance.now();
      const { info, bytes, seconds, already } = await prepare({
        ...options,
        paths: files,
        progress: (done) =>
          progress.update(() => {
            const speed = done.bytes / ((performance.now() - started) / 1000);
            return `${formatBytes(done.bytes)} read, ${formatCount(done.tokens)} tokens, ${formatBytes(speed)}/s`;
          }),
      });
      progress.end();
      if (already) note(`${options.out} holds this already; nothing was written`);
      if (options.json === true) {
        printJson({ ...infoJson(info), bytes, seconds, already });
        return;
      }
      const row = (name: string, part: { documents: number; lines: number; tokens: number }) =>
        [name, part.documents, part.lines, part.tokens].map(String);
      print(
        table([["", "documents", "lines", "tokens"], row("train", info.train), row("validation", info.validation)]),
      );
      print("");
      print(
        `${formatBytes(bytes)} of text in ${formatDuration(seconds)}, ${formatBytes(bytes / seconds)}/s, written to ${options.out}`,
      );
    });
}
