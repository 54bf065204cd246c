/** `bert2bert study`: methods on one budget, what is missing of it run, and what came of it as tables and a page. */
import type { Command } from "@commander-js/extra-typings";
import { UserError } from "../util/errors.ts";
import { gather, hubTelling, speed } from "./options.ts";
import { formatDuration, note, print, printJson, runLine, table } from "./output.ts";
import { attended } from "./signals.ts";

export function register(command: Command): void {
  command
    .argument("<study>", "a STUDY.yaml; paths in it are relative to it")
    .option("--set <key.path=value>", "a key of the file, set anew (may be given again)", gather, [])
    .option("--only <methods...>", "run these methods alone; the others are shown as far as they are done")
    .option("--dry-run", "list the runs with their FLOPs and time; nothing runs")
    .option("--no-run", "run nothing: write the results of what is done")
    .option(
      "--speed <GFLOP/s>",
      "the speed to reckon times with (default: that of the runs that are done, else 100)",
      speed,
    )
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nRuns what has no record yet and writes study.json, study.md and report.html after every run. It can be stopped\nand started again, and started several times at once: each takes runs that nobody else is at.\n\nOur own studies are of BERT and GPT-2 (docs/results/); of other architectures nothing has been measured yet.",
    )
    .action(async (path: string, options) => {
      const [{ loadStudy }, { openStudy, runStudy, stateOf }, { writeResults }] = await Promise.all([
        import("../study/settings.ts"),
        import("../study/run.ts"),
        import("../study/results.ts"),
      ]);
      const study = await loadStudy(path, options.set, hubTelling());
      const names = study.methods.map((method) => method.name);
      const unknown = options.only?.find((name) => !names.includes(name));
      if (unknown !== undefined) {
        throw new UserError(`the study has no method \`${unknown}\``, "--only", `it has ${names.join(", ")}`);
      }
      if (options.dryRun === true) {
        const { scheduleOf } = await import("../study/schedule.ts");
        const cells = await openStudy(study);
        await caution(cells.target);
        const schedule = scheduleOf(await stateOf(cells), options.only, options.speed);
        if (options.json === true) printJson(schedule);
        else printSchedule(schedule);
        return;
      }
      const state = await attended(async (progress, stopped) => {
        if (!options.run) return stateOf(await openStudy(study));
        let about = "";
        return runStudy(study, {
          only: options.only,
          stopped,
          begin: (cell, done, all) => {
            about = cell.title;
            progress.end(`${cell.title} (${done} of ${all} runs done)`);
          },
          finished: async (now) => void (await writeResults(now)),
          note: (text) => progress.end(`  ${text}`),
          progress: (at) => progress.update(() => runLine(`${about}: step ${at.step}/${at.steps}, ${at.stage}`, at)),
        });
      });
      const written = await writeResults(state);
      if (options.json === true) printJson(written.data);
      else print(written.table);
      await caution(state.cells.target);
      note(`written: ${written.files.join(", ")}`);
    });
}

/** Says where nothing was measured before that its figures could be held against. */
async function caution(target: import("../model/architecture.ts").Model): Promise<void> {
  const { unmeasured } = await import("../model/architectures.ts");
  const words = unmeasured(target.architecture);
  if (words !== undefined) note(words);
}

function printSchedule(schedule: import("../study/schedule.ts").Schedule): void {
  const rows = schedule.runs.map((run) => [
    run.title,
    run.cell,
    run.done ? "done" : run.begun ? "begun" : "to do",
    String(run.steps),
    run.flops.exact.toExponential(2),
    run.flops.paper.toExponential(2),
    run.done ? "" : formatDuration(run.seconds),
  ]);
  print(table([["run", "cell", "", "steps", "FLOPs", "by the paper's count", "time"], ...rows]));
  for (const [method, seeds] of Object.entries(schedule.waiting)) {
    print(`${method}, seeds ${seeds.join(", ")}: when its rate is chosen`);
  }
  const { left } = schedule;
  print(
    `\n${left.runs} of ${schedule.runs.length} runs left: ${left.flops.exact.toExponential(2)} FLOPs, ${formatDuration(left.seconds)} at ${schedule.speed.toFixed(0)} GFLOP/s`,
  );
}
