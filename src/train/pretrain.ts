import { join } from "node:path";
import { openEngine } from "../engine/engines.ts";
import { clearFolder } from "../store/temporary.ts";
import { UserError } from "../util/errors.ts";
import { checkRunMemory, memoryOf } from "./estimate.ts";
import { openRun } from "./open.ts";
import { rateAt } from "./plan/schedule.ts";
import { stageAt } from "./plan/stage.ts";
import { removeOld, stepsThere } from "./run/checkpoint.ts";
import { forgetRun, lockRunFolder, metricsFile, writeRunFile } from "./run/folder.ts";
import { openMetrics } from "./run/metrics.ts";
import type { LoadedRun } from "./run/settings.ts";
import { loadState } from "./step/state.ts";
import { type PretrainOptions, type RunResult, Trainer } from "./trainer.ts";

/**
 * Runs a run, or carries it on.
 * @throws UserError if something does not fit, before anything is written; Diverged if the loss stops being a number
 * @throws Interrupted after saving, if `stopped` said so
 */
export async function pretrain(run: LoadedRun, options: PretrainOptions = {}): Promise<RunResult> {
  const { settings } = run;
  const { out, checkpoint, optimizer, schedule } = settings;
  const note = options.note ?? (() => {});
  const open = await openRun(run, note);
  try {
    const { start, plan, position } = open;
    const tight = checkRunMemory(memoryOf(plan, open.models), run.file.where([]));
    if (tight !== undefined) note(tight);
    const engine = await openEngine(open.engine, note);
    try {
      await loadState(engine, start.model, start.parameters, start.where, start.moments);
      const lock = await lockRunFolder(out);
      let unsaved = false;
      try {
        // Whoever held the folder until now may have gone on from where we looked.
        if ((await stepsThere(out)).at(0) !== open.newest) {
          throw new UserError("another process went on with the run meanwhile", out, "start again");
        }
        await clearFolder(out);
        const text = await writeRunFile(settings);
        await removeOld(out, checkpoint, position.step);
        const before = start.checkpoint === undefined ? out : join(start.checkpoint.folder, "..", "..");
        const metrics = await openMetrics(join(out, metricsFile), position.metrics, join(before, metricsFile));
        try {
          const { step } = position;
          if (open.newest !== undefined) note(`carrying on after step ${step} of ${plan.steps}`);
          else if (step > 0) {
            const rate = rateAt(optimizer.lr, schedule, plan.stages, stageAt(plan.stages, step), step);
            note(`${before} is carried further: step ${step + 1} of ${plan.steps} has the rate ${rate.toPrecision(3)}`);
          }
          if (open.engine.before !== undefined && open.engine.before !== engine.description) {
            note(`the run went on ${open.engine.before} before: from here its bytes are another's`);
          }
          const { description } = engine;
          const engines = [...open.facts.engines.filter((one) => one !== description), description];
          const facts = { ...open.facts, engine: description, engines };
          const trainer = new Trainer(settings, plan, open.dataset, engine, start, metrics, facts, options);
          return await trainer.run(position, text);
        } finally {
          await metrics.close();
        }
      } catch (error) {
        unsaved = error instanceof UserError && (await stepsThere(out)).length === 0;
        throw error;
      } finally {
        lock.release();
        if (unsaved) await forgetRun(out);
      }
    } finally {
      await engine.close();
    }
  } finally {
    await open.close();
  }
}
