/** `bert2bert init`: a model folder with random weights from a config. */
import type { Command } from "@commander-js/extra-typings";
import { floatDType, wholeNumber } from "./options.ts";
import { formatCount, Progress, print, printJson } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<config>", "a config.json; what it leaves out takes transformers' defaults")
    .argument("<out>", "the model folder to write")
    .option("--seed <n>", "seed of the random weights", wholeNumber("--seed"), 0)
    .option("--dtype <format>", "F32, F16 or BF16 (default: F32)")
    .option("--max-shard <size>", "largest weights file", "5GB")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\n`architectures` in the config names the class, and so the heads (BertForPreTraining, BertForMaskedLM, …);\nwithout it the model gets a language-model head.",
    )
    .action(async (config: string, out: string, options) => {
      const { parseSize } = await import("../checkpoint/write.ts");
      const { createModel } = await import("../model/create.ts");
      const { parameterCount } = await import("../model/table.ts");
      const { readJsonObject } = await import("../util/json.ts");
      const progress = new Progress(true);
      const model = await createModel(await readJsonObject(config), config, out, {
        seed: options.seed,
        dtype: await floatDType(options.dtype),
        maxShardBytes: parseSize(options.maxShard, "--max-shard"),
        progress: (drawn, all) => progress.update(() => `${Math.floor((100 * drawn) / all)} % of the weights drawn`),
      });
      progress.end();
      const parameters = parameterCount(model.parameters);
      const architecture = model.config.architectures;
      if (options.json) printJson({ folder: out, parameters, architectures: architecture ?? null, seed: options.seed });
      else
        print(
          `${out}: ${architecture} with ${formatCount(parameters)} parameters, random weights of seed ${options.seed}`,
        );
    });
}
