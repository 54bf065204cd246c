/** `bert2bert fill-mask`: what a masked model puts in a text's gaps. */
import type { Command } from "@commander-js/extra-typings";
import { modelFolder, wholeNumber } from "./options.ts";
import { print, printJson, table } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<folder>", "a model folder", modelFolder)
    .argument("<text...>", "texts with the tokenizer's mask token ([MASK], <mask>) in each gap")
    .option("--top <n>", "tokens for each mask", wholeNumber("--top", 1), 5)
    .option("--engine <kind>", "which engine computes", "auto")
    .option("--threads <n>", "threads; default all", wholeNumber("--threads", 1))
    .option("--json", "print {filled: [{text, masks: [[{id, token, score}]]}]} as JSON")
    .action(async (folder, texts, { json, ...options }) => {
      const { fillMask } = await import("../tasks/fill-mask.ts");
      const filled = await fillMask(folder, texts, options);
      if (json) return printJson({ filled });
      const rows = filled.flatMap(({ text, masks }) => [
        [text],
        ...masks.flatMap((guesses, gap) =>
          guesses.map(({ token, score }) => [
            `  ${masks.length > 1 ? `mask ${gap + 1}: ` : ""}${token}`,
            score.toFixed(4),
          ]),
        ),
      ]);
      print(rows.map((row) => (row.length === 1 ? row[0] : table([row]))).join("\n"));
    });
}
