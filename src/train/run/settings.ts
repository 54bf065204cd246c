/**
 * A run's settings: RUN.yaml read, checked and completed, so that nothing about the run is left to a default.
 *
 * Relative paths in the file are relative to it. What the run folder keeps (`run.yaml`) has every key, and its paths
 * are relative to the run folder, so that file starts the same run again.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { type EngineSettings, engineOf, placed } from "../../engine/engine.ts";
import { type FindOptions, findModel, type Wanted } from "../../hub/find.ts";
import { hubName } from "../../hub/name.ts";
import { modelPlace } from "../../store/places.ts";
import { UserError } from "../../util/errors.ts";
import type { SettingsFile } from "../../util/settings.ts";
import type { Plan } from "../plan/plans/plan.ts";
import { checkStages, PlanError, placeStages, type Stage, type StageSpec } from "../plan/stage.ts";
import type { RunFile, RunInput } from "./schema.ts";

/** Where the model comes from; paths absolute. With `step` it is a run, which this one is from that step on. */
export type ModelSource =
  | {
      readonly from: string;
      /** As it is named, if that is a name on the Hub; `from` is then where it lies in the cache. */
      readonly hub?: string;
      readonly step?: number;
      /** A language-model head is drawn, which the folder lacks. */
      readonly "add-head"?: true;
    }
  | { readonly init: string; readonly tokenizer: string | undefined };

/** How long a run is, in the unit the user chose. */
export type Length = { readonly steps: number } | { readonly tokens: number } | { readonly epochs: number };

/** Everything about a run. Paths are absolute. */
export interface RunSettings
  extends Readonly<Omit<RunFile, "model" | "optimizer" | "steps" | "tokens" | "epochs" | "engine">> {
  readonly model: ModelSource;
  readonly optimizer: Omit<RunFile["optimizer"], "moments"> & { readonly moments: "keep" | "fresh" };
  readonly length: Length;
  readonly engine: Omit<EngineSettings, "before"> & { readonly kind: string };
}

/** A run's settings and the file that can say where each stands. */
export interface LoadedRun {
  readonly settings: RunSettings;
  readonly file: SettingsFile;
}

/**
 * Reads RUN.yaml, or takes an object with its keys, whose paths are relative to the working directory.
 * @param sets `key.path=value`, on top of it @param options told of what is brought from the Hub
 * @throws UserError naming the line, or the key, of what does not fit
 */
export async function loadRun(
  run: string | RunInput,
  sets: readonly string[] = [],
  options: FindOptions = {},
): Promise<LoadedRun> {
  const [{ SettingsFile }, { runSchema }] = await Promise.all([
    import("../../util/settings.ts"),
    import("./schema.ts"),
  ]);
  const file = new SettingsFile(run, sets);
  const folder = typeof run === "string" ? dirname(resolve(run)) : process.cwd();
  const checked = file.checked(runSchema);
  const onHub = new Map<string, string>();
  const look = async (name: string | undefined, wanted: Wanted) => {
    if (name === undefined || hubName(name) === undefined || existsSync(resolve(folder, name))) return;
    // A run that goes on has its model: what it began with may be gone.
    const begun = begunWith(resolve(folder, checked.out)) !== undefined;
    const place = await findModel(name, { ...options, wanted, beside: folder }).catch((error: unknown) => {
      if (begun && error instanceof UserError) return resolve(folder, name);
      throw error;
    });
    onHub.set(name, place);
  };
  if (checked.model.step === undefined) await look(checked.model.from, "model");
  await look(checked.model.tokenizer, "tokenizer");
  return { settings: completed(checked, folder, file, onHub), file };
}

function completed(run: RunFile, folder: string, file: SettingsFile, onHub: ReadonlyMap<string, string>): RunSettings {
  const { steps, tokens, epochs, engine, ...rest } = run;
  const lengths: Length[] = [];
  if (steps !== undefined) lengths.push({ steps });
  if (tokens !== undefined) lengths.push({ tokens });
  if (epochs !== undefined) lengths.push({ epochs });
  if (lengths.length !== 1) {
    const what = lengths.length === 0 ? "how long the run is, is missing" : "the run's length is given more than once";
    throw file.error([Object.keys(lengths[1] ?? {})[0] ?? "steps"], what, "give one of `steps`, `tokens`, `epochs`");
  }
  const at = (place: string) => resolve(folder, place);
  const modelAt = (place: string) => onHub.get(place) ?? at(place);
  const model: ModelSource =
    run.model.from !== undefined
      ? {
          from: modelAt(run.model.from),
          ...(onHub.has(run.model.from) ? { hub: run.model.from } : {}),
          ...(run.model.step === undefined ? {} : { step: run.model.step }),
          ...(run.model["add-head"] ? { "add-head": true } : {}),
        }
      : {
          init: at(run.model.init ?? ""),
          tokenizer: run.model.tokenizer === undefined ? undefined : modelAt(run.model.tokenizer),
        };
  const begun = begunWith(at(run.out));
  const start = "from" in model && model["add-head"] !== true ? startFolder(model) : undefined;
  const hasMoments = start !== undefined && existsSync(join(start, "optimizer.safetensors"));
  if (run.optimizer.moments === "keep" && !hasMoments && begun === undefined) {
    throw file.error(
      ["optimizer", "moments"],
      `there are no moments to keep in ${start ?? "a model drawn at random"}`,
      "set it to fresh, or start from a folder that holds optimizer.safetensors",
    );
  }
  const auto = begun ?? (hasMoments ? "keep" : "fresh");
  return {
    ...rest,
    out: at(run.out),
    model,
    data: { from: at(run.data.from) },
    optimizer: { ...run.optimizer, moments: run.optimizer.moments === "auto" ? auto : run.optimizer.moments },
    length: lengths[0],
    engine: engineOf(engine, at),
  };
}

/** The folder of the weights that a run starts from. @param say told where it is not the one that is named */
export function startFolder({ from, step }: { from: string; step?: number }, say: (text: string) => void = () => {}) {
  return step === undefined ? modelPlace(from, say) : join(from, "checkpoints", `step-${step}`);
}

/** What a run that has begun took `moments: auto` for: the folder it began from may be gone. */
function begunWith(out: string): "keep" | "fresh" | undefined {
  const path = join(out, "run.yaml");
  if (!existsSync(join(out, "checkpoints")) || !existsSync(path)) return undefined;
  return /^ {2}moments: keep$/m.test(readFileSync(path, "utf8")) ? "keep" : "fresh";
}

/** The run as `run.yaml` in its folder says it: every key, paths relative to the run folder. */
export function spelledOut(run: RunSettings): Record<string, unknown> {
  const from = (path: string) => {
    const way = relative(run.out, path);
    return way === "" ? "." : way.split(sep).join("/");
  };
  const { model, plan } = run;
  const { options, ...engine } = run.engine;
  const { hub: _, ...began } = "from" in model ? model : { hub: undefined };
  return {
    out: ".",
    seed: run.seed,
    model:
      "from" in model
        ? { ...began, from: model.hub ?? from(model.from) }
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
 * @param now layers after `done` steps
 * @throws UserError if the plan does not fit the run or the model
 */
export async function stagesOf(
  loaded: LoadedRun,
  layers: number,
  steps: number,
  now = layers,
  done = 0,
): Promise<readonly Stage[]> {
  const { plan } = loaded.settings;
  try {
    const stages = placeStages(await expandPlan(plan, layers), steps);
    const toCome = stages.filter(({ end }) => end > done);
    checkStages(
      toCome.map((stage) => (stage.start < done ? { ...stage, grow: undefined } : stage)),
      now,
    );
    return stages;
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    throw loaded.file.error(["plan"], error.message, "change the stages, or the length of the run");
  }
}

/** The stages that a plan means for a model of so many layers. @param known named plans; default: the library's */
export async function expandPlan(
  plan: RunSettings["plan"],
  layers: number,
  known?: readonly Plan[],
): Promise<readonly StageSpec[]> {
  if (plan.kind === "stages")
    return plan.stages.map((stage, i) => ({ ...stage, name: stage.name ?? `stage-${i + 1}` }));
  const named = (known ?? (await import("../plan/plans/plans.ts")).plans).find((known) => known.name === plan.name);
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

/** What a run may change and still be the same: it is not part of what is computed, or (a path) known by its content. */
export const FREE = /^(log|checkpoint|evaluate|engine)\b|^data\.from$|^model\.(from|init|tokenizer)$/;
/** What the batches are a function of, and with them the place in the data's order. */
export const ORDER = /^(seed|objective|batch)\b/;

/**
 * The refusal to carry on a run folder that holds another run.
 * @param steps of its checkpoints, newest first
 */
export function anotherRun(run: LoadedRun, found: readonly Difference[], steps: readonly number[]): UserError {
  const { out, length, schedule } = run.settings;
  const list = found
    .slice(0, 3)
    .map(({ key, before, now }) => `\`${key}\` was ${shown(before)} and is now ${shown(now)}`)
    .join(", ");
  const more = found.length > 3 ? ` and ${found.length - 3} more` : "";
  const { key } = found.find(({ now }) => now !== undefined) ?? found[0];
  const step = steps.find((there) => !("steps" in length) || there < length.steps);
  const file = dirname(resolve(run.file.where([])));
  const way = (path: string) => yamlText(relative(file, path).split(sep).join("/"));
  const flow = (value: object) =>
    Object.entries(value)
      .map(([name, each]) => `${name}: ${each}`)
      .join(", ");
  const lines = [`out: ${way(`${out}-further`)}`, `model: { from: ${way(out)}, step: ${step} }`, flow(length)];
  const wayOut =
    step === undefined || found.some((one) => ORDER.test(one.key) || one.key.startsWith("model"))
      ? "name another folder in `out`, undo the change, or remove the folder"
      : `undo the change, or carry that run further: \`${lines.join("`, `")}\`, counted from its first step, and over all of them \`schedule: { ${flow(schedule)} }\``;
  return run.file.error(key.split("."), `${out}: holds another run: ${list}${more}`, wayOut);
}

/** A scalar as YAML reads it back. */
function yamlText(text: string): string {
  return /^[\w./][\w./-]*$/.test(text) ? text : JSON.stringify(text);
}

export function shown(value: unknown): string {
  return value === undefined ? "absent" : JSON.stringify(value);
}
