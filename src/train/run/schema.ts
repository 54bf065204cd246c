/**
 * The schema of RUN.yaml: every key, its type, its range and its default. Loaded only when such a file is read.
 *
 * Keys are added over time and never renamed. `plan` is a named plan (with options) or a list of stages.
 */
import { z } from "zod";
import { engineSchema } from "../../engine/schema.ts";
import { suggestion } from "../../util/errors.ts";
import { count, keysAt } from "../../util/settings.ts";
import type { Plan } from "../plan/plans/plan.ts";
import { plans } from "../plan/plans/plans.ts";
import { decays } from "../plan/schedule.ts";

const decay = z.enum(decays);
/** A share of the steps below 1, else a number of steps. */
const partOf = (what: string) =>
  z
    .number()
    .min(0)
    .refine((value) => value < 1 || Number.isInteger(value), {
      message: `a ${what} of 1 or more is a number of steps and has no fraction`,
      params: { wayOut: "give a share below 1 (0.05) or a whole number of steps (500)" },
    });
const warmup = partOf("warm-up");
const cooldown = partOf("cooldown").optional();
const moment = z.number().min(0).lt(1);
export const betas = z.tuple([moment, moment]).meta({ examples: [[0.9, 0.98]] });

const size = z.int().min(1).optional();
/** How a model grows; methods and their words are checked where they are known, before the run starts. */
export const growthKeys = {
  method: z.string().min(1).default("fpi"),
  options: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  map: z.string().min(1).default("cyclic"),
  depth: z.string().min(1).default("stack"),
};
const grow = z
  .strictObject({
    layers: size,
    hidden: size,
    heads: size,
    "kv-heads": size,
    ffn: size,
    ...growthKeys,
    moments: z.string().min(1).default("grow"),
  })
  .refine(
    (sizes) =>
      [sizes.layers, sizes.hidden, sizes.heads, sizes["kv-heads"], sizes.ffn].some((value) => value !== undefined),
    {
      message: "a stage's `grow` names no size",
      params: { wayOut: "give some of layers, hidden, heads, kv-heads, ffn" },
    },
  );

const stage = z
  .strictObject({
    name: z.string().min(1).optional(),
    steps: count.optional(),
    share: z.number().gt(0).max(1).optional(),
    models: z
      .array(z.strictObject({ layers: z.int().min(1), train: z.int().min(0) }))
      .min(1)
      .optional(),
    /** Block expansion (Wu et al., "LLaMA Pro", ACL 2024, section 3.2): what the last growth added trains, and nothing else. */
    train: z.literal("new").optional(),
    /** Default true; false with `train`. */
    head: z.boolean().optional(),
    schedule: z
      .strictObject({ warmup: warmup.default(0), decay: z.enum(["run", ...decay.options]).default("run"), cooldown })
      .refine((own) => own.decay !== "run" || own.cooldown === undefined, {
        message: "a stage that goes on with the run's decay has no cooldown of its own",
        params: { wayOut: "give the stage a decay (linear, …), or the cooldown to the run's `schedule`" },
      })
      .optional(),
    optimizer: z.enum(["keep", "reset"]).default("keep"),
    grow: grow.optional(),
  })
  .refine((own) => own.train === undefined || own.models === undefined, {
    message: "a stage that trains the new blocks runs all of them, and has no `models`",
    path: ["models"],
    params: { wayOut: "leave out `models`, or `train`" },
  });

const stageList = z.array(stage).min(1);

/** A plan as resolved: a named one with all its options, or stages. */
export type PlanSettings =
  | { readonly kind: "named"; readonly name: string; readonly options: unknown }
  | { readonly kind: "stages"; readonly stages: readonly (z.infer<typeof stage> & { readonly head: boolean })[] };

/** One of these plans by its name, with or without options, or a list of stages. */
export const planSchemaOf = (plans: readonly Plan[]) =>
  z.unknown().transform((value, context): PlanSettings => {
    const refuse = (message: string, wayOut: string, path: (string | number)[] = []) => {
      context.addIssue({ code: "custom", message, params: { wayOut }, path });
      return z.NEVER;
    };
    const names = plans.map((known) => known.name);
    // What an inner schema found, under the path it has from here.
    const forward = (issues: readonly z.core.$ZodIssue[], schema: z.ZodType, path: (string | number)[]) => {
      for (const issue of issues) {
        const at = [...path, ...issue.path];
        if (issue.code === "unrecognized_keys") {
          const inner = issue.path.map((key) => (typeof key === "symbol" ? String(key) : key));
          const key = issue.keys[0];
          const message = `\`${["plan", ...at, key].join(".")}\` is not a key`;
          context.addIssue({
            code: "custom",
            message,
            params: { wayOut: suggestion(key, keysAt(schema, inner)) },
            path: [...at, key],
          });
        } else {
          context.issues.push({ ...issue, path: at, input: undefined });
        }
      }
      return z.NEVER;
    };
    if (Array.isArray(value)) {
      const stages = stageList.safeParse(value);
      if (!stages.success) return forward(stages.error.issues, stageList, []);
      return {
        kind: "stages",
        stages: stages.data.map((one) => ({ ...one, head: one.head ?? one.train === undefined })),
      };
    }
    const entries: readonly [string, unknown][] =
      typeof value === "string"
        ? [[value, {}]]
        : typeof value === "object" && value !== null
          ? Object.entries(value)
          : [];
    if (entries.length !== 1) {
      return refuse("`plan` is neither a named plan nor a list of stages", `known plans are ${names.join(", ")}`);
    }
    const [name, given] = entries[0];
    const known = plans.find((candidate) => candidate.name === name);
    if (known === undefined) {
      return refuse(`there is no plan \`${name}\``, suggestion(name, names), typeof value === "string" ? [] : [name]);
    }
    const options = known.options.safeParse(given ?? {});
    return options.success
      ? { kind: "named", name, options: options.data }
      : forward(options.error.issues, known.options, [name]);
  });

export const runSchema = z.strictObject({
  out: z.string().min(1),
  seed: z.int().min(0).default(1),
  model: z
    .strictObject({
      from: z.string().min(1).optional(),
      /** Of the run that `from` then is: this run is that one from there on. */
      step: z.int().min(1).optional(),
      init: z.string().min(1).optional(),
      tokenizer: z.string().min(1).optional(),
      /** With `from`: draw a language-model head, which the folder lacks. */
      "add-head": z.boolean().default(false),
    })
    .refine((model) => (model.from === undefined) !== (model.init === undefined), {
      message: "`model` needs either `from` or `init`",
      params: { wayOut: "give {from: a model folder}, or {init: a config.json, tokenizer: a folder}" },
    })
    .refine((model) => model.init === undefined || !model["add-head"], {
      message: "`add-head` goes with `from`",
      path: ["add-head"],
      params: { wayOut: "leave it out: `architectures` in the config that `init` names says which heads there are" },
    })
    .refine((model) => model.step === undefined || model.from !== undefined, {
      message: "`model.step` is a step of the run that `model.from` names",
      params: { wayOut: "give {from: a run folder, step: a step it has a checkpoint of}" },
    }),
  data: z.strictObject({ from: z.string().min(1) }),
  objective: z.enum(["mlm", "mlm+nsp", "clm"]),
  batch: z
    .strictObject({
      sequences: z.int().min(1).default(16),
      accumulate: z.int().min(1).default(1),
      masked: z.number().gt(0).lt(1).default(0.15),
      /** `apart`: attention stays inside a document; left out: a sequence is read as one. */
      documents: z.enum(["joined", "apart"]).optional(),
    })
    .prefault({}),
  optimizer: z
    .strictObject({
      lr: z.number().gt(0).default(1e-4),
      weight_decay: z.number().min(0).default(0.01),
      betas: betas.default([0.9, 0.999]),
      eps: z.number().gt(0).default(1e-6),
      /** Largest global gradient norm; 0: no clipping. */
      clip: z.number().min(0).default(1),
      /** `mup`: rates and initial values by a parameter's place, from the hidden size for which `lr` is meant. */
      parametrization: z
        .preprocess((given) => (given === "mup" ? { mup: 256 } : given), z.strictObject({ mup: z.int().min(1) }))
        .optional(),
      dropout: z.union([z.literal("config"), z.number().min(0).lt(1)]).default("config"),
      /** Moments beside the model that the run starts from: go on with them, or start them at 0. */
      moments: z.enum(["auto", "keep", "fresh"]).default("auto"),
    })
    .prefault({}),
  schedule: z.strictObject({ warmup: warmup.default(0.05), decay: decay.default("linear"), cooldown }).prefault({}),
  steps: count.optional(),
  tokens: count.optional(),
  epochs: z.number().gt(0).optional(),
  plan: planSchemaOf(plans).default({ kind: "named", name: "full", options: {} }),
  /** `sequences`: at most so many of the validation part are used. */
  evaluate: z.strictObject({ every: z.int().min(0).default(100), sequences: count.default(1024) }).prefault({}),
  /** `at`: saved at these steps too, and those stay beside the newest `keep`. */
  checkpoint: z
    .strictObject({
      every: z.int().min(0).default(100),
      keep: z.int().min(1).default(3),
      at: z.array(z.int().min(1)).optional(),
    })
    .prefault({}),
  log: z.strictObject({ every: z.int().min(1).default(10) }).prefault({}),
  engine: engineSchema.prefault({}),
});

export type RunFile = z.infer<typeof runSchema>;
/** What may be written in it. */
export type RunInput = z.input<typeof runSchema>;
