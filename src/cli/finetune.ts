/** `bert2bert finetune`: a model on a task, by its TASK.yaml. */
import type { Command } from "@commander-js/extra-typings";
import { gather, hubTelling } from "./options.ts";
import { print, printJson, table } from "./output.ts";
import { attended } from "./signals.ts";

export function register(command: Command): void {
  command
    .argument("<task>", "a TASK.yaml; paths in it are relative to it")
    .option("--set <key.path=value>", "a key of the file, set anew (may be given again)", gather, [])
    .option("--json", "print {metric, score, spread, seeds: [{seed, score, epoch, metrics}], model} as JSON")
    .addHelpText(
      "after",
      "\nCarries on if `out` holds the same task. SIGINT and SIGTERM save and stop; a second one stops at once.",
    )
    .action(async (path, options) => {
      const { loadTask } = await import("../tasks/finetune/settings.ts");
      const { finetune } = await import("../tasks/finetune/finetune.ts");
      const task = await loadTask(path, options.set, hubTelling());
      await attended(async (progress, stopped) => {
        const result = await finetune(task, {
          stopped,
          note: (text) => progress.end(text),
          progress: ({ seed, step, steps, loss }) =>
            progress.update(() => `seed ${seed}, step ${step}/${steps}, loss ${loss.toFixed(4)}`),
        });
        progress.end();
        if (options.json) return printJson(result);
        const shown = (value: number | null) => value?.toFixed(4) ?? "none";
        const seeds = result.seeds.map(({ seed, epoch, score }) => [String(seed), String(epoch), shown(score)]);
        print(table([["seed", "epoch", result.metric], ...seeds]));
        print(`\n${result.model}: median ${shown(result.score)}, spread ${shown(result.spread)}`);
      });
    });
}
