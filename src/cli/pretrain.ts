/** `bert2bert pretrain`: a run, or what is left of it. */
import type { Command } from "@commander-js/extra-typings";
import type { LoadedRun } from "../train/run/settings.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { gather, hubTelling, modelFolder, wholeNumber } from "./options.ts";
import { note, Progress, print, printJson, runLine, table } from "./output.ts";
import { attended } from "./signals.ts";

export function register(command: Command): void {
  command
    .argument("[run]", "a RUN.yaml; paths in it are relative to it")
    .option("--set <key.path=value>", "a key of the file, set anew (may be given again)", gather, [])
    .option("--profile", "say where the time of a step goes; some steps run and nothing is written")
    .option(
      "--find-rate [steps]",
      "try rates from 1e-7 to 1 in so many steps (default: 200), suggest one; nothing is written",
      wholeNumber("--find-rate", 20),
    )
    .option("--picture <file>", "with --find-rate: the curve as SVG")
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
      if (options.findRate !== undefined) {
        return findRateOf(run, options.findRate === true ? 200 : options.findRate, options);
      }
      if (options.picture !== undefined) throw new UserError("there is no curve", "--picture", "add --find-rate");
      await using keep = keeping();
      keep(await served(run.settings.out, options));
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
        evaluation && `: validation loss ${evaluation.loss.toFixed(4)}, perplexity ${evaluation.perplexity.toFixed(2)}`;
      print(`${model}${measured ?? ""}`);
    });
}

async function findRateOf(
  run: LoadedRun,
  steps: number,
  { picture: file, json }: { readonly picture?: string; readonly json?: true },
): Promise<void> {
  const { findRate } = await import("../train/find-rate.ts");
  const progress = new Progress();
  const { curve, suggestion, ...found } = await findRate(run, steps, {
    note: (text) => progress.end(text),
    progress: ({ rate, loss }, step) =>
      progress.update(() => `step ${step}/${steps}, rate ${shown(rate)}, loss ${loss.toFixed(4)}`),
  });
  progress.end();
  const words = suggestion === null ? "none: the loss fell nowhere" : shown(suggestion);
  if (file !== undefined) {
    const [{ closeRange, picture }, { writeFileWhole }] = await Promise.all([
      import("../report/chart.ts"),
      import("../store/files.ts"),
    ]);
    const at = curve.findIndex(({ rate }) => rate === suggestion);
    const points = curve.map(({ smoothed }, i): [number, number] => [i, smoothed]);
    const spec = {
      ...{ id: "rate", title: "Loss while the rate rises", description: `Suggested rate: ${words}` },
      ...{ xTitle: `step, its rate from ${shown(curve[0].rate)} to ${shown(curve[curve.length - 1].rate)}` },
      ...{ yTitle: "loss (nats a token)", y: closeRange([points]) },
    };
    const faint = curve.map(({ loss }, i): [number, number] => [i, loss]);
    const marks = at < 0 ? [] : [{ x: at, label: words }];
    await writeFileWhole(
      file,
      picture({ ...spec, series: [{ name: "smoothed", colour: 0, points, faint, marks, marked: false }] }),
    );
  }
  if (json) return printJson({ suggestion, ...found, curve });
  const every = Math.ceil(curve.length / 16);
  const rows = curve
    .filter((_, i) => i % every === 0)
    .map(({ rate, loss, smoothed }) => [shown(rate), loss.toFixed(4), smoothed.toFixed(4)]);
  print(table([["rate", "loss", "smoothed"], ...rows]));
  print(`\nsuggested rate: ${words}${suggestion === null ? "" : ", where the smoothed loss falls fastest"}`);
}

function shown(rate: number): string {
  return rate.toExponential(1);
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
