import { join } from "node:path";
import type { Engine } from "../engine/engine.ts";
import { openEngine, runsInMemory } from "../engine/engines.ts";
import { clearFolder } from "../store/temporary.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { checkRunMemory, memoryOf } from "./estimate.ts";
import { openRun } from "./open.ts";
import { rateAt } from "./plan/schedule.ts";
import { stageAt } from "./plan/stage.ts";
import { removeOld, stepsThere } from "./run/checkpoint.ts";
import { forgetRun, lockRunFolder, metricsFile, writeRunFile } from "./run/folder.ts";
import { Metrics, openMetrics } from "./run/metrics.ts";
import type { LoadedRun } from "./run/settings.ts";
import { writes } from "./saving.ts";
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
  await using keep = keeping();
  const open = keep(await openRun(run, note));
  const { start, plan, position, dataset } = open;
  if (runsInMemory(open.engine)) {
    const tight = checkRunMemory(memoryOf(plan, open.models), run.file.where([]));
    if (tight !== undefined) note(tight);
  }
  const engine = keep(await openEngine(open.engine, note));
  const [first, told] = writes(engine) ? [true, options] : [false, { stopped: options.stopped }];
  await checkSame(engine, position.step, out);
  await loadState(engine, start.model, start.parameters, start.where, start.moments);
  let unsaved = false;
  // Once its lock is free.
  keep({ close: () => (unsaved ? forgetRun(out) : undefined) });
  if (first) keep(await lockRunFolder(out));
  try {
    // Whoever held the folder until now may have gone on from where we looked.
    if (first && (await stepsThere(out)).at(0) !== open.newest) {
      throw new UserError("another process went on with the run meanwhile", out, "start again");
    }
    if (first) await clearFolder(out);
    const text = first ? await writeRunFile(settings) : "";
    if (first) await removeOld(out, checkpoint, position.step);
    const before = start.checkpoint === undefined ? out : join(start.checkpoint.folder, "..", "..");
    const path = join(out, metricsFile);
    const metrics = keep(
      first
        ? await openMetrics(path, position.metrics, join(before, metricsFile))
        : new Metrics(path, position.metrics),
    );
    const { step } = position;
    if (open.newest !== undefined) note(`carrying on after step ${step} of ${plan.steps}`);
    else if (step > 0) {
      const rate = rateAt(optimizer.lr, schedule, plan.stages, stageAt(plan.stages, step), step);
      note(`${before} is carried further: step ${step + 1} of ${plan.steps} has the rate ${rate.toPrecision(3)}`);
    }
    const { description } = engine;
    if (open.engine.before !== undefined && open.engine.before !== description) {
      note(`the run went on ${open.engine.before} before: from here its bytes are another's`);
    }
    const engines = [...open.facts.engines.filter((one) => one !== description), description];
    const facts = { ...open.facts, engine: description, engines };
    const session = { settings, text, plan, dataset, engine, start, position, metrics, facts };
    return await new Trainer(session, told).run();
  } catch (error) {
    unsaved = first && error instanceof UserError && (await stepsThere(out)).length === 0;
    throw error;
  }
}

/** @throws UserError if of several processes not all go on from the same step */
async function checkSame({ processes }: Engine, step: number, out: string): Promise<void> {
  if (processes === undefined) return;
  const [most, least] = await processes.agree([step, -step]);
  if (most === -least) return;
  const what = `one process of the run would go on after step ${-least}, another after step ${most}`;
  throw new UserError(what, out, "let `out` be the same folder to all, on a file system that they share");
}
