/**
 * A run opened: settings, data, model and where it stands, each held against the others. What runs it, plans it or times
 * it begins here, so all of them refuse the same; nothing is written.
 */
import { openDataset } from "../data/prepared/dataset.ts";
import { UserError } from "../util/errors.ts";
import { stageModels } from "./growth.ts";
import { newestCheckpoint, stepsThere } from "./run/checkpoint.ts";
import { checkRunFolder } from "./run/folder.ts";
import { beginning } from "./run/position.ts";
import type { LoadedRun } from "./run/settings.ts";
import { checkFit, fingerprint, openStart, planRun, startFrom } from "./run/setup.ts";

export type OpenRun = Awaited<ReturnType<typeof openRun>>;

/** @param note one sentence for a person @throws UserError for whatever does not fit */
export async function openRun(run: LoadedRun, note: (text: string) => void) {
  const { out, data, length, seed, engine } = run.settings;
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
    const say = own === undefined ? note : () => {};
    const begun = own === undefined || state === "moved" ? await openStart(run, dataset, say) : undefined;
    if (begun !== undefined) open.push(begun);
    const start = own === undefined ? begun : await startFrom(own, dataset, true);
    if (start === undefined) throw new Error("a run begins, or goes on");
    for (const text of start.notes) note(text);
    const { checkpoint, model } = start;
    const { position, facts } = checkpoint ?? { position: beginning, facts: undefined };
    // A checkpoint of before it was kept doesn't say what its run began with.
    const identity = (own && facts?.model) || (await begun?.identity()) || "";
    if (own !== undefined && begun !== undefined && (await begun.identity()) !== identity) {
      const what = `${out}: holds another run, which did not begin with this model`;
      throw run.file.error(["model"], what, "name another folder in `out`, or the model that it began with");
    }
    // A plan by name is made for the model that the run began with.
    const layers = (own && facts?.layers) ?? model.dimensions.layers;
    const planned = await planRun(run, dataset, model, layers, position.step);
    // A growth that can't be done is said now, not when its stage comes.
    const staged = stageModels(model, planned.stages, seed, position.step, start.companions.growth);
    const plan = { ...planned, stages: staged.map(({ stage }) => stage) };
    const fitting = await checkFit(model, start.where, dataset, plan.objective, start.tokenizer);
    const prints = fingerprint(dataset);
    if (facts !== undefined && facts.data !== prints) {
      const wayOut = "put the data back that the run began with, or start another run";
      throw new UserError("the data is not what the run began with", data.from, wayOut);
    }
    if (own === undefined && position.step >= plan.steps) {
      const [key] = Object.keys(length);
      const what = `the run has ${plan.steps} steps, and is to go on after ${position.step} of them`;
      throw run.file.error([key], what, `give more: \`${key}\` counts from the first step of the run carried further`);
    }
    return {
      dataset: fitting,
      start,
      plan,
      /** The model of each stage. */
      models: staged.map((one) => one.model),
      position,
      /** Of the engines those until now. */
      facts: { layers, data: prints, model: identity, engines: facts?.engines ?? [] },
      /** What it is to run on, and ran on until now. */
      engine: { ...engine, before: facts?.engine },
      /** Step of its own newest checkpoint. */
      newest,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
