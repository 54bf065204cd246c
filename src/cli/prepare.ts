/** `prepare FILE... --tokenizer FOLDER --out DATA --length N`: text to token blocks on disk. */
import { join } from "node:path";
import type { Command } from "@commander-js/extra-typings";
import { UserError } from "../util/errors.ts";
import { FIELD, modelFolder, share, TEXTS, tokenizerFolder, wholeNumber } from "./options.ts";
import { formatBytes, formatCount, formatDuration, note, Progress, print, printJson, table } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<files...>", TEXTS)
    .option("--tokenizer <folder>", "tokenizer.json, vocab.txt, or vocab.json and merges.txt", tokenizerFolder)
    .option(
      "--model <folder>",
      "the model that is to learn from it: its tokenizer, and every id is held against it",
      modelFolder,
    )
    .requiredOption("--out <folder>", "the folder to write")
    .requiredOption("--length <n>", "tokens of a sequence, special tokens included", wholeNumber("--length"))
    .option("--validation <share>", "share of the documents held out, 0 for none", share("--validation", 1), 0.01)
    .option("--bos", "begin each document with the bos token (default: if transformers puts it before a text)")
    .option("--no-bos", "never do")
    .option("--field <name>", FIELD)
    .option("--threads <n>", "workers (default: one a core)", wholeNumber("--threads", 1))
    .option("--json", "print the result as JSON")
    .action(async (files, options) => {
      const { prepare } = await import("../data/prepared/prepare.ts");
      const { infoJson } = await import("../data/prepared/dataset.ts");
      const tokenizer = options.tokenizer ?? options.model;
      if (tokenizer === undefined) {
        const wayOut = "add --tokenizer FOLDER, or --model FOLDER to take a model's own";
        throw new UserError("no tokenizer is named", "bert2bert prepare", wayOut);
      }
      const model = options.model === undefined ? undefined : await limitsOf(options.model);
      const progress = new Progress(true);
      const started = performance.now();
      const { info, bytes, seconds, already } = await prepare({
        ...options,
        tokenizer,
        model,
        paths: files,
        note: (text) => progress.end(text),
        progress: (done) =>
          progress.update(() => {
            const seconds = (performance.now() - started) / 1000;
            const read = `${(100 * done.share).toFixed(0)} % read (${formatBytes(done.bytes)})`;
            const left = done.share > 0.01 ? `, ${formatDuration((seconds / done.share) * (1 - done.share))} left` : "";
            return `${read}, ${formatCount(done.tokens)} tokens, ${formatBytes(done.bytes / seconds)}/s${left}`;
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

/** What a model takes, by its config alone. */
async function limitsOf(folder: string): Promise<{ vocabulary: number; positions: number; where: string }> {
  const [{ configFile, readConfig }, { architectureOf }] = await Promise.all([
    import("../checkpoint/folder.ts"),
    import("../model/architectures.ts"),
  ]);
  const where = join(folder, configFile);
  const config = await readConfig(folder);
  const { vocab, positions } = architectureOf(config, where).model(config, where).dimensions;
  return { vocabulary: vocab, positions, where: folder };
}
