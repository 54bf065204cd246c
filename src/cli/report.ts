/** `report RUN…`: runs side by side as a page, or their metrics as CSV. */
import type { Command } from "@commander-js/extra-typings";
import { UserError } from "../util/errors.ts";
import { print, printJson } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<runs...>", "run folders, finished or under way")
    .option("--out <file>", "the page to write", "report.html")
    .option("--csv", "print their metrics as CSV instead, a row a line of metrics.jsonl")
    .option("--json", "print {file, runs} as JSON")
    .action(async (folders: string[], options) => {
      const { metricsCsv, watchedRun } = await import("../train/watch.ts");
      if (options.csv && options.json) throw new UserError("both formats are asked for", "--csv", "leave out --json");
      if (options.csv) return void process.stdout.write(await metricsCsv(folders));
      const { renderWatch } = await import("../report/watch.ts");
      const { writeFileWhole } = await import("../store/files.ts");
      const runs = [];
      for (const folder of folders) runs.push(await watchedRun(folder, folders.length > 1 ? folder : undefined));
      await writeFileWhole(options.out, renderWatch(runs, false));
      if (options.json) printJson({ file: options.out, runs: folders });
      else print(options.out);
    });
}
