/** `bert2bert pretrain`: a run, or what is left of it. */
import type { Command } from "@commander-js/extra-typings";
import { UserError } from "../util/errors.ts";
import { gather, hubTelling, modelFolder, wholeNumber } from "./options.ts";
import { note, print, printJson, runLine, table } from "./output.ts";
import { attended } from "./signals.ts";

export function register(command: Command): void {
  command
    .argument("[run]", "a RUN.yaml; paths in it are relative to it")
    .option("--set <key.path=value>", "a key of the file, set anew (may be given again)", gather, [])
    .option("--profile", "say where the time of a step goes; some steps run and nothing is written")
    .option(
      "--recommend <model>",
      "print a RUN.yaml to begin with, for this model on --data; nothing runs",
      modelFolder,
    )
    .option("--data <folder>", "with --recommend: what `prepare` wrote")
    .option("--out <folder>", "with --recommend: where the run is to go (default: MODEL-run)")
    .option(
      "--serve [port]",
      "a page of the run at http://127.0.0.1:PORT/ while it goes on (default: a free port)",
      wholeNumber("--serve", 0, 65_535),
    )
    .option("--beside <runs...>", "with --serve: other run folders on that page")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nCarries on if the run folder (`out`) holds the same run. SIGINT and SIGTERM save and stop; a second one stops at once.",
    )
    .action(async (path, options) => {
      if (options.recommend !== undefined) return recommend(options.recommend, path, options);
      if (path === undefined) {
        const wayOut = "give a RUN.yaml; `bert2bert pretrain --recommend MODEL --data DATA > run.yaml` writes one";
        throw new UserError("no run is named", "pretrain", wayOut);
      }
      const { loadRun } = await import("../train/run/settings.ts");
      const { pretrain } = await import("../train/pretrain.ts");
      const run = await loadRun(path, options.set, hubTelling());
      if (options.profile) {
        const { profileRun } = await import("../train/profile.ts");
        const profile = await profileRun(run, (text) => process.stderr.write(`${text}\n`));
        if (options.json) return printJson(profile);
        const all = Object.values(profile.classes).reduce((sum, time) => sum + time, 0);
        const rows = Object.entries(profile.classes).map(([of, time]) => [
          of,
          time.toFixed(1),
          `${((100 * time) / all).toFixed(0)} %`,
        ]);
        print(`${profile.engine}: a step of stage ${profile.stage} takes ${profile.step.toFixed(1)} ms\n`);
        return print(table([["class", "ms", "share"], ...rows]));
      }
      const page = await served(run.settings.out, options);
      try {
        const result = await attended((progress, stopped) =>
          pretrain(run, {
            stopped,
            note: (text) => progress.end(text),
            progress: (at) => progress.update(() => runLine(`step ${at.step}/${at.steps}, ${at.stage}`, at)),
          }),
        );
        const { model, evaluation } = result;
        if (options.json) return printJson({ ...result, evaluation: evaluation ?? null });
        const measured =
          evaluation &&
          `: validation loss ${evaluation.loss.toFixed(4)}, perplexity ${evaluation.perplexity.toFixed(2)}`;
        print(`${model}${measured ?? ""}`);
      } finally {
        page?.close();
      }
    });
}

async function served(out: string, { serve, beside = [] }: { serve?: number | true; beside?: readonly string[] }) {
  if (serve === undefined) {
    if (beside.length > 0) throw new UserError("there is no page", "--beside", "add --serve");
    return undefined;
  }
  const { serveRuns, watchedRun } = await import("../train/watch.ts");
  for (const folder of beside) await watchedRun(folder);
  const page = await serveRuns([out, ...beside], serve === true ? 0 : serve);
  note(`watch it at ${page.url}`);
  return page;
}

async function recommend(
  model: string,
  run: string | undefined,
  options: { readonly data?: string; readonly out?: string; readonly json?: true },
): Promise<void> {
  if (options.data === undefined) {
    throw new UserError("no data is named", "--recommend", "give --data, a folder that `bert2bert prepare` wrote");
  }
  if (run !== undefined) {
    throw new UserError("a run is named as well", run, `let its name follow a \`>\`: the file is printed`);
  }
  const { recommendRun } = await import("../train/recommend.ts");
  const out = options.out ?? `${model.replace(/[/\\]+$/, "")}-run`;
  const text = await recommendRun({ model, data: options.data, out, beside: "." });
  if (options.json) printJson({ text });
  else print(text.trimEnd());
}
