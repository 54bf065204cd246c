/** `bert2bert sample`: text from a causal model. */
import type { Command } from "@commander-js/extra-typings";
import { UserError } from "../util/errors.ts";
import { gather, modelFolder, share, wholeNumber } from "./options.ts";
import { print, printJson } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<folder>", "a model folder", modelFolder)
    .argument("[prompt...]", "texts to go on with; none: from the beginning")
    .option("--prompts <file>", "a text file with a prompt on each line")
    .option("--tokens <n>", "tokens to add at most", wholeNumber("--tokens", 1), 64)
    .option(
      "--temperature <t>",
      "0: the most probable token each time; 1: as the model has it (default: 0)",
      share("--temperature", 100),
    )
    .option("--top-k <k>", "draw from the k most probable tokens", wholeNumber("--top-k", 1))
    .option("--top-p <p>", "draw from the fewest tokens whose probabilities reach p", share("--top-p", 1))
    .option("--seed <n>", "seed of what is drawn", wholeNumber("--seed"), 0)
    .option("--stop <text>", "end where this text comes (may be given again)", gather, [])
    .option("--engine <kind>", "which engine computes", "auto")
    .option("--threads <n>", "threads; default all", wholeNumber("--threads", 1))
    .option("--json", "print {samples: [{prompt, text, ids, ended}]} as JSON")
    .action(async (folder, prompts, { prompts: file, json, ...options }) => {
      if (file !== undefined && prompts.length > 0) {
        throw new UserError("both a file of prompts and prompts", "sample", "give one of them");
      }
      const { sample } = await import("../tasks/sample.ts");
      const texts = file === undefined ? prompts : await promptsOf(file);
      const samples = await sample(folder, texts.length === 0 ? [""] : texts, options);
      if (json) printJson({ samples });
      else print(samples.map(({ prompt, text }) => prompt + text).join("\n\n"));
    });
}

async function promptsOf(path: string): Promise<readonly string[]> {
  const { linesOf } = await import("../tasks/rows.ts");
  const prompts: string[] = [];
  for await (const { text } of linesOf(path)) prompts.push(text);
  if (prompts.length > 0) return prompts;
  throw new UserError("it holds no prompt", path, "write one on each line");
}
