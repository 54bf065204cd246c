/**
 * A run opened: settings, data, model and where it stands, each held against the others. What runs it, plans it or times
 * it begins here, so all of them refuse the same; nothing is written.
 */
import { join } from "node:path";
import { type Dataset, openDataset } from "../data/prepared/dataset.ts";
import type { Model } from "../model/architecture.ts";
import { UserError } from "../util/errors.ts";
import { stageModels } from "./growth.ts";
import { newestCheckpoint, type Position, type RunFacts, stepsThere } from "./run/checkpoint.ts";
import { checkRunFolder, metricsFile } from "./run/folder.ts";
import { beginning } from "./run/position.ts";
import type { LoadedRun } from "./run/settings.ts";
import { checkFit, fingerprint, openBeginning, planRun, type RunPlan, type Start, startFrom } from "./run/setup.ts";

export interface OpenRun {
  readonly dataset: Dataset;
  readonly start: Start;
  readonly plan: RunPlan;
  /** The model of each stage. */
  readonly models: readonly Model[];
  readonly position: Position;
  readonly facts: Omit<RunFacts, "engine">;
  /** The engine that its steps ran on until now. */
  readonly before: string | undefined;
  /** Step of the newest checkpoint in its folder, whole or not. */
  readonly newest: number | undefined;
  /** Whether it goes on from a checkpoint of its own. */
  readonly carriedOn: boolean;
  /** The metrics whose first lines are of the steps done. */
  readonly metrics: string;
  close(): Promise<void>;
}

/** @param note one sentence for a person @throws UserError for whatever does not fit */
export async function openRun(run: LoadedRun, note: (text: string) => void = () => {}): Promise<OpenRun> {
  const { settings } = run;
  const { out, model: source, data } = settings;
  const state = await checkRunFolder(run);
  const dataset = await openDataset(data.from);
  const open: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const one of open) await one.close();
    dataset.close();
  };
  try {
    const newest = (await stepsThere(out)).at(0);
    const own = await newestCheckpoint(out, note);
    if (own !== undefined) open.push(own.opened);
    const begun = own === undefined || state === "moved" ? await openBeginning(run, dataset, note) : undefined;
    if (begun !== undefined) open.push(begun.start);
    // Checkpoints of before it was kept don't say.
    const known = own?.checkpoint.facts.model || undefined;
    const identity = await begun?.identity();
    if (known !== undefined && identity !== undefined && identity !== known) {
      const what = `${out} holds another run: it did not begin with this model`;
      throw run.file.error(["model"], what, "name another folder in `out`, or the model that it began with");
    }
    const start = own === undefined ? begun?.start : await startFrom(own.opened, dataset, true);
    if (start === undefined) throw new Error("a run that does not go on begins");
    const from = own?.checkpoint ?? begun?.trunk;
    const position = from?.position ?? beginning;
    const layers = from?.facts.layers ?? start.model.dimensions.layers;
    const plan = await planRun(run, dataset, start.model, layers, position.step);
    await checkFit(start.model, start.where, dataset, plan.objective, start.tokenizer);
    const prints = fingerprint(dataset);
    if (from !== undefined && from.facts.data !== prints) {
      const wayOut = "put the data back that the run began with, or start another run";
      throw new UserError("the data is not what the run began with", data.from, wayOut);
    }
    if (own === undefined && position.step >= plan.steps) {
      const key = Object.keys(settings.length)[0];
      const what = `the run has ${plan.steps} steps, and is to go on after ${position.step} of them`;
      throw run.file.error(
        [key],
        what,
        `\`${key}\` counts from the first step of the run it carries further: give more`,
      );
    }
    return {
      dataset,
      start,
      plan,
      // A growth that can't be done is said now, not when its stage comes.
      models: stageModels(start.model, plan.stages, settings.seed, position.step),
      position,
      facts: { layers, data: prints, model: known ?? identity ?? "" },
      before: from?.facts.engine,
      newest,
      carriedOn: own !== undefined,
      metrics: join(own === undefined && from !== undefined && "from" in source ? source.from : out, metricsFile),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
