/** `compare RUN RUN…`: what came of runs, side by side, and in which settings they differ. */
import { join } from "node:path";
import type { Command } from "@commander-js/extra-typings";
import { formatCount, formatDuration, print, printJson, table } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<runs...>", "run folders, finished or under way")
    .option("--json", "print {runs, differences} as JSON")
    .action(async (folders: string[], options) => {
      const [{ linesOf }, { storedRun, runFile }, { differences, shown }, { isEvaluation }, { UserError }] =
        await Promise.all([
          import("../train/watch.ts"),
          import("../train/run/folder.ts"),
          import("../train/run/settings.ts"),
          import("../train/run/metrics.ts"),
          import("../util/errors.ts"),
        ]);
      const readRun = async (folder: string) => {
        const lines = await linesOf(folder);
        const settings = await storedRun(folder);
        if (settings === undefined) {
          throw new UserError(`there is no ${runFile}`, join(folder, runFile), "name a run's folder");
        }
        const { loss = null, perplexity = null, accuracy = null } = lines.filter(isEvaluation).at(-1)?.evaluation ?? {};
        const { step = 0, tokens = 0, seconds = 0, flops } = lines.at(-1) ?? {};
        return { folder, step, tokens, flops: flops?.exact ?? 0, seconds, loss, perplexity, accuracy, settings };
      };
      const runs = await Promise.all(folders.map(readRun));
      const [first, ...others] = runs;
      const keys = new Set(others.flatMap((run) => differences(first.settings, run.settings).map(({ key }) => key)));
      const values = (key: string) => runs.map(({ settings }) => shown(valueAt(settings, key.split("."))));
      const differing = [...keys].filter((key) => key !== "").map((key) => ({ key, values: values(key) }));
      if (options.json) {
        printJson({ runs: runs.map(({ settings: _, ...run }) => run), differences: differing });
        return;
      }
      const number = (value: number | null, digits: number) => (value === null ? "-" : value.toFixed(digits));
      const rows = runs.map((run) => [
        ...[
          run.folder,
          String(run.step),
          formatCount(run.tokens),
          run.flops.toPrecision(3),
          formatDuration(run.seconds),
        ],
        ...[number(run.loss, 4), number(run.perplexity, 2), number(run.accuracy, 4)],
      ]);
      print(table([["", "steps", "tokens", "FLOPs", "time", "loss", "perplexity", "accuracy"], ...rows]));
      if (differing.length > 0) print(`\n${table(differing.map(({ key, values: all }) => [key, ...all]))}`);
    });
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  const [key, ...rest] = path;
  if (key === undefined || typeof value !== "object" || value === null) return value;
  return valueAt(Object.entries(value).find(([name]) => name === key)?.[1], rest);
}
