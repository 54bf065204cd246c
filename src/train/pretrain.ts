import { join } from "node:path";
import { openDataset } from "../data/prepared/dataset.ts";
import { openEngine } from "../engine/engines.ts";
import { clearFolder } from "../store/temporary.ts";
import { UserError } from "../util/errors.ts";
import { checkRunMemory, memoryOf } from "./estimate.ts";
import { stageModels } from "./growth.ts";
import { newestCheckpoint, removeOld, stepsThere } from "./run/checkpoint.ts";
import { checkRunFolder, lockRunFolder, metricsFile, writeRunFile } from "./run/folder.ts";
import { openMetrics } from "./run/metrics.ts";
import { beginning } from "./run/position.ts";
import type { LoadedRun } from "./run/settings.ts";
import { checkFit, fingerprint, openStart, planRun, startFrom } from "./run/setup.ts";
import { loadState } from "./step/state.ts";
import { type PretrainOptions, type RunResult, Trainer } from "./trainer.ts";

/**
 * Runs a run, or carries it on.
 * @throws UserError if something does not fit, before anything is written; Diverged if the loss stops being a number
 * @throws Interrupted after saving, if `stopped` said so
 */
export async function pretrain(run: LoadedRun, options: PretrainOptions = {}): Promise<RunResult> {
  const { settings } = run;
  const note = options.note ?? (() => {});
  await checkRunFolder(settings);
  const dataset = await openDataset(settings.data.from);
  try {
    const newest = (await stepsThere(settings.out)).at(0);
    const found = await newestCheckpoint(settings.out, note);
    const start =
      found === undefined ? await openStart(settings, dataset) : await startFrom(found.opened, dataset, true);
    try {
      for (const text of start.notes) note(text);
      const layers = found?.checkpoint.facts.layers ?? start.model.dimensions.layers;
      const plan = await planRun(run, dataset, start.model, layers);
      await checkFit(start.model, start.where, dataset, plan.objective, start.tokenizer);
      // A growth that can't be done is said now, not when its stage comes.
      const models = stageModels(start.model, plan.stages, settings.seed, found?.checkpoint.position.step ?? 0);
      const tight = checkRunMemory(memoryOf(plan, models), run.file.where([]));
      if (tight !== undefined) note(tight);
      const data = fingerprint(dataset);
      if (found !== undefined && found.checkpoint.facts.data !== data) {
        const wayOut = "put the data back that the run began with, or start another run";
        throw new UserError("the data is not what the run began with", settings.data.from, wayOut);
      }
      const before = found?.checkpoint.facts.engine;
      const engine = await openEngine({ ...settings.engine, before }, note);
      try {
        await loadState(engine, start.model, start.parameters, start.where, start.moments);
        const lock = await lockRunFolder(settings.out);
        try {
          // Whoever held the folder until now may have gone on from where we looked.
          if ((await stepsThere(settings.out)).at(0) !== newest) {
            throw new UserError("another process went on with the run meanwhile", settings.out, "start again");
          }
          await clearFolder(settings.out);
          const text = await writeRunFile(settings);
          const position = found?.checkpoint.position ?? beginning;
          await removeOld(settings.out, settings.checkpoint.keep, position.step);
          if (found !== undefined) note(`carrying on after step ${position.step} of ${plan.steps}`);
          if (before !== undefined && before !== engine.description) {
            note(`the run went on ${before} before: from here its bytes are another's`);
          }
          const metrics = await openMetrics(join(settings.out, metricsFile), position.metrics);
          try {
            const facts = { layers, data, engine: engine.description };
            const trainer = new Trainer(settings, plan, dataset, engine, start, metrics, facts, options);
            return await trainer.run(position, text);
          } finally {
            await metrics.close();
          }
        } finally {
          lock.release();
        }
      } finally {
        await engine.close();
      }
    } finally {
      await start.close();
    }
  } finally {
    dataset.close();
  }
}
