/**
 * A run's settings: RUN.yaml read, checked and completed, so that nothing about the run is left to a default.
 *
 * Relative paths in the file are relative to it. What the run folder keeps (`run.yaml`) has every key, and its paths
 * are relative to the run folder, so that file starts the same run again.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative, resolve, sep } from "node:path";
import { type EngineSettings, placed } from "../../engine/engine.ts";
import { UserError } from "../../util/errors.ts";
import type { SettingsFile } from "../../util/settings.ts";
import { checkStages, PlanError, placeStages, type Stage, type StageSpec } from "../plan/stage.ts";
import type { RunFile } from "./schema.ts";

/** Where the model comes from; paths absolute. */
export type ModelSource = { readonly from: string } | { readonly init: string; readonly tokenizer: string | undefined };

/** How long a run is, in the unit the user chose. */
export type Length = { readonly steps: number } | { readonly tokens: number } | { readonly epochs: number };

/** Everything about a run. Paths are absolute. */
export interface RunSettings {
  readonly out: string;
  readonly seed: number;
  readonly model: ModelSource;
  readonly data: { readonly from: string };
  readonly objective: RunFile["objective"];
  readonly batch: RunFile["batch"];
  readonly optimizer: Omit<RunFile["optimizer"], "moments"> & { readonly moments: "keep" | "fresh" };
  readonly schedule: RunFile["schedule"];
  readonly length: Length;
  readonly plan: RunFile["plan"];
  readonly evaluate: RunFile["evaluate"];
  readonly checkpoint: RunFile["checkpoint"];
  readonly log: RunFile["log"];
  readonly engine: Omit<EngineSettings, "before"> & { readonly kind: string };
}

/** A run's settings and the file that can say where each stands. */
export interface LoadedRun {
  readonly settings: RunSettings;
  readonly file: SettingsFile;
}

/**
 * Reads RUN.yaml. @param sets `key.path=value`, on top of the file
 * @throws UserError naming the line of what does not fit
 */
export async function loadRun(path: string, sets: readonly string[] = []): Promise<LoadedRun> {
  const [{ SettingsFile }, { runSchema }] = await Promise.all([
    import("../../util/settings.ts"),
    import("./schema.ts"),
  ]);
  const file = new SettingsFile(path, sets);
  return { settings: completed(file.checked(runSchema), dirname(resolve(path)), file), file };
}

function completed(run: RunFile, folder: string, file: SettingsFile): RunSettings {
  const { steps, tokens, epochs, engine, ...rest } = run;
  const { kind, threads, precision, ...options } = engine;
  const lengths: Length[] = [];
  if (steps !== undefined) lengths.push({ steps });
  if (tokens !== undefined) lengths.push({ tokens });
  if (epochs !== undefined) lengths.push({ epochs });
  if (lengths.length !== 1) {
    const what = lengths.length === 0 ? "how long the run is, is missing" : "the run's length is given more than once";
    throw file.error([Object.keys(lengths[1] ?? {})[0] ?? "steps"], what, "give one of `steps`, `tokens`, `epochs`");
  }
  const at = (place: string) => resolve(folder, place);
  const model: ModelSource =
    run.model.from !== undefined
      ? { from: at(run.model.from) }
      : {
          init: at(run.model.init ?? ""),
          tokenizer: run.model.tokenizer === undefined ? undefined : at(run.model.tokenizer),
        };
  const hasMoments = "from" in model && existsSync(join(model.from, "optimizer.safetensors"));
  if (run.optimizer.moments === "keep" && !hasMoments) {
    const where = "from" in model ? model.from : "a model drawn at random";
    throw file.error(
      ["optimizer", "moments"],
      `there are no moments to keep in ${where}`,
      "set it to fresh, or start from a folder that holds optimizer.safetensors",
    );
  }
  return {
    ...rest,
    out: at(run.out),
    model,
    data: { from: at(run.data.from) },
    optimizer: {
      ...run.optimizer,
      moments: run.optimizer.moments === "fresh" || !hasMoments ? "fresh" : "keep",
    },
    length: lengths[0],
    engine: {
      kind,
      threads: threads === "auto" ? availableParallelism() : threads,
      precision,
      options: placed(options, at),
    },
  };
}

/** The run as `run.yaml` in its folder says it: every key, paths relative to the run folder. */
export function spelledOut(run: RunSettings): Record<string, unknown> {
  const from = (path: string) => {
    const way = relative(run.out, path);
    return way === "" ? "." : way.split(sep).join("/");
  };
  const { model, plan } = run;
  const { options, ...engine } = run.engine;
  return {
    out: ".",
    seed: run.seed,
    model:
      "from" in model
        ? { from: from(model.from) }
        : { init: from(model.init), ...(model.tokenizer === undefined ? {} : { tokenizer: from(model.tokenizer) }) },
    data: { from: from(run.data.from) },
    objective: run.objective,
    batch: run.batch,
    optimizer: run.optimizer,
    schedule: run.schedule,
    ...run.length,
    plan: plan.kind === "named" ? { [plan.name]: plan.options } : plan.stages,
    evaluate: run.evaluate,
    checkpoint: run.checkpoint,
    log: run.log,
    engine: { ...engine, ...placed(options ?? {}, from) },
  };
}

/** Steps of a run. @param tokensPerStep tokens that one step reads @param examples sequences in the training part */
export function stepsOf(run: RunSettings, tokensPerStep: number, examples: number): number {
  const { length } = run;
  if ("steps" in length) return length.steps;
  if ("tokens" in length) return Math.max(1, Math.ceil(length.tokens / tokensPerStep));
  return Math.max(1, Math.round((length.epochs * examples) / (run.batch.sequences * run.batch.accumulate)));
}

/**
 * The run's stages for a model of so many layers.
 * @throws UserError if the plan does not fit the run or the model
 */
export async function stagesOf(loaded: LoadedRun, layers: number, steps: number): Promise<readonly Stage[]> {
  const { plan } = loaded.settings;
  try {
    const specs = await expandPlan(plan, layers);
    checkStages(specs, layers);
    return placeStages(specs, steps);
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    throw loaded.file.error(["plan"], error.message, "change the stages, or the length of the run");
  }
}

/** The stages that a plan means for a model of so many layers. */
export async function expandPlan(plan: RunSettings["plan"], layers: number): Promise<readonly StageSpec[]> {
  if (plan.kind === "stages")
    return plan.stages.map((stage, i) => ({ ...stage, name: stage.name ?? `stage-${i + 1}` }));
  const { plans } = await import("../plan/plans/plans.ts");
  const named = plans.find((known) => known.name === plan.name);
  if (named === undefined) throw new PlanError(`there is no plan ${plan.name}`);
  return named.expand(plan.options, layers);
}

/** One thing in which two runs differ: the key's path and what each says. */
export interface Difference {
  readonly key: string;
  readonly before: unknown;
  readonly now: unknown;
}

/** Where two spelled-out runs differ. */
export function differences(before: unknown, now: unknown, key = ""): readonly Difference[] {
  if (isRecord(before) && isRecord(now)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    return keys.flatMap((name) => differences(before[name], now[name], key === "" ? name : `${key}.${name}`));
  }
  if (Array.isArray(before) && Array.isArray(now) && before.length === now.length) {
    return before.flatMap((item, i) => differences(item, now[i], `${key}.${i}`));
  }
  return Object.is(before, now) ? [] : [{ key, before, now }];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The refusal to carry on a run folder that holds another run. */
export function anotherRun(folder: string, found: readonly Difference[]): UserError {
  const list = found
    .slice(0, 3)
    .map(({ key, before, now }) => `\`${key}\` was ${shown(before)} and is now ${shown(now)}`)
    .join(", ");
  const more = found.length > 3 ? ` and ${found.length - 3} more` : "";
  return new UserError(
    `holds another run: ${list}${more}`,
    folder,
    "name another folder in `out`, undo the change, or remove the folder",
  );
}

function shown(value: unknown): string {
  return value === undefined ? "absent" : JSON.stringify(value);
}
