/** `tokenizer train FILE... --out FOLDER --kind wordpiece|bpe --vocab N`: a vocabulary from text. */
import { type Command, Option } from "@commander-js/extra-typings";
import { FIELD, TEXTS, wholeNumber } from "./options.ts";
import { formatBytes, formatDuration, note, Progress, print, printJson } from "./output.ts";

export function register(command: Command): void {
  command
    .command("train")
    .description("learn a vocabulary from text; the same text gives the same bytes")
    .argument("<files...>", TEXTS)
    .requiredOption("--out <folder>", "the folder to write")
    .addOption(new Option("--kind <kind>", "BERT's or GPT-2's").choices(["wordpiece", "bpe"]).makeOptionMandatory())
    .requiredOption("--vocab <n>", "entries, special tokens included", wholeNumber("--vocab", 1))
    .option("--field <name>", FIELD)
    .option("--lowercase", "wordpiece: lower case, accents dropped")
    .addOption(new Option("--special <whose>", "bpe: special tokens (default: gpt2)").choices(["gpt2", "roberta"]))
    .option("--json", "print the result as JSON")
    .action(async (files: string[], options) => {
      const { trainTokenizer } = await import("../data/tokenizer/train.ts");
      const progress = new Progress();
      const { vocab, json, ...rest } = options;
      const result = await trainTokenizer({
        ...rest,
        paths: files,
        note: (text) => progress.end(text),
        vocabulary: vocab,
        progress: (bytes) => progress.update(() => `${formatBytes(bytes)} read`),
      });
      progress.end();
      if (result.already) note(`${options.out} holds this already; nothing was written`);
      if (result.vocabulary < vocab) note(`the text gives no more than ${result.vocabulary} entries`);
      if (json === true) printJson({ ...result });
      else {
        const from = `from ${result.words} distinct words in ${formatDuration(result.seconds)}`;
        print(`${options.out}: ${result.vocabulary} entries ${from}`);
      }
    });
}
