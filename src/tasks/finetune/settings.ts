/**
 * TASK.yaml: its keys and defaults, which are one setting for all tasks (Geiping and Goldstein, "Cramming", ICML 2023,
 * section 5: 5 epochs, batches of 16, rate 4e-5 with a cosine decay, dropout 0.1). Paths in it are relative to it.
 */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { type EngineSettings, engineOf } from "../../engine/engine.ts";
import { engineSchema } from "../../engine/schema.ts";
import { type FindOptions, findModel } from "../../hub/find.ts";
import { decays } from "../../train/plan/schedule.ts";
import { SettingsFile } from "../../util/settings.ts";
import type { Kind } from "./kind.ts";
import { kinds } from "./kinds.ts";
import { questionKeys } from "./questions.ts";
import type { Columns } from "./table.ts";

const column = z.union([z.string().min(1), z.int().min(1)]);
const part = z.number().min(0);

const schema = z.strictObject({
  out: z.string().min(1),
  model: z.strictObject({ from: z.string().min(1) }),
  task: z.enum(Object.keys(kinds)),
  data: z.strictObject({
    train: z.string().min(1),
    validation: z.string().min(1),
    /** Predicted once a seed has ended; its labels may be missing. */
    test: z.string().min(1).optional(),
    /** One column, or two of a pair. */
    text: z.union([column, z.tuple([column, column])]).optional(),
    label: column.optional(),
    /** What a row is known by in the predictions. */
    id: column.optional(),
    header: z.boolean().optional(),
  }),
  epochs: z.int().min(1).default(5),
  batch: z.int().min(1).default(16),
  /** Tokens of an example at most, special ones included; 0: as the kind of task has it. */
  length: z.int().min(4).default(0),
  questions: questionKeys.optional(),
  optimizer: z
    .strictObject({
      lr: z.number().gt(0).default(4e-5),
      weight_decay: part.default(0.01),
      betas: z.tuple([part.lt(1), part.lt(1)]).default([0.9, 0.999]),
      eps: z.number().gt(0).default(1e-6),
      clip: part.default(1),
      dropout: z.number().min(0).lt(1).default(0.1),
      /** Each block's rate as a share of that of the one above; embeddings stand below the first. */
      layer_decay: z.number().gt(0).max(1).default(1),
    })
    .prefault({}),
  schedule: z.strictObject({ warmup: part.lt(1).default(0), decay: z.enum(decays).default("cosine") }).prefault({}),
  /** How many, and the first of them. */
  seeds: z.int().min(1).default(1),
  seed: z.int().min(0).default(1),
  metric: z.string().optional(),
  /** Epochs without a better score after which a seed ends; absent: none. */
  patience: z.int().min(1).optional(),
  engine: engineSchema.prefault({}),
});

type TaskFile = z.infer<typeof schema>;
export type TaskInput = z.input<typeof schema>;

export interface TaskSettings extends Omit<TaskFile, "data" | "engine"> {
  readonly data: Columns & Pick<TaskFile["data"], "train" | "validation" | "test">;
  readonly kind: Kind;
  readonly metric: string;
  readonly engine: Omit<EngineSettings, "before"> & { readonly kind: string };
}

/** Its files. */
export function dataFiles({ train, validation, test }: TaskSettings["data"]): readonly string[] {
  return [train, validation, ...(test === undefined ? [] : [test])];
}

export interface LoadedTask {
  readonly settings: TaskSettings;
  readonly file: SettingsFile;
}

/**
 * @param task TASK.yaml's path, or its keys @param sets `key.path=value` on top
 * @param options told where the model is found: in a run, on the Hub @throws UserError naming line or key
 */
export async function loadTask(
  task: string | object,
  sets: readonly string[] = [],
  options: FindOptions = {},
): Promise<LoadedTask> {
  const file = new SettingsFile(task, sets);
  const given = file.checked(schema);
  const { beside = process.cwd() } = options;
  const folder = typeof task === "string" ? dirname(resolve(task)) : beside;
  const at = (path: string) => resolve(folder, path);
  const kind = kinds[given.task];
  const known = kind.metrics;
  const metric = given.metric ?? known[0];
  if (!known.includes(metric)) {
    throw file.error(["metric"], `${given.task} has no metric \`${metric}\``, `take one of ${known.join(", ")}`);
  }
  const { data } = given;
  const { text = kind.columns?.text, label = kind.columns?.label } = data;
  if (text === undefined || label === undefined) {
    const missing = text === undefined ? "text" : "label";
    throw file.error(["data"], `\`data.${missing}\` is missing`, "name a column, or from 1 give its number");
  }
  const settings: TaskSettings = {
    ...given,
    out: at(given.out),
    model: { from: await findModel(given.model.from, { ...options, beside: folder }) },
    data: {
      ...data,
      ...{ train: at(data.train), validation: at(data.validation), test: data.test && at(data.test) },
      ...{ text: typeof text === "object" ? text : [text], label },
    },
    ...{ kind, metric, length: given.length === 0 ? kind.length : given.length },
    engine: engineOf(given.engine, at),
  };
  return { settings, file };
}
