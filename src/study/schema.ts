/** The schema of STUDY.yaml. What the runs have in common is written as in RUN.yaml. */
import { z } from "zod";
import { decays } from "../train/plan/schedule.ts";
import { betas, runSchema } from "../train/run/schema.ts";
import { count } from "../util/settings.ts";

/** A config.json: its path, or written out. */
const config = z.union([z.string().min(1), z.record(z.string(), z.unknown())]);
const size = z.int().min(1).optional();
const { optimizer, schedule } = runSchema.shape;
const optimizerKeys = optimizer.unwrap().omit({ moments: true });
const seed = z.int().min(0);

/** A part of the keys, without their defaults: what a method changes. */
const change = z
  .strictObject({
    lr: z.number().gt(0),
    weight_decay: z.number().min(0),
    betas,
    eps: z.number().gt(0),
    clip: z.number().min(0),
    dropout: z.union([z.literal("config"), z.number().min(0).lt(1)]),
  })
  .partial();

const growth = z.strictObject({
  method: z.string().min(1),
  options: z.record(z.string(), z.union([z.string(), z.number().transform(String)])).optional(),
  map: z.string().min(1).optional(),
  depth: z.string().min(1).optional(),
  moments: z.string().min(1).optional(),
});

const method = z.strictObject({
  /** A named method to start from; default: the one of the same name. */
  as: z.string().min(1).optional(),
  label: z.string().min(1).optional(),
  about: z.string().min(1).optional(),
  growth: growth.optional(),
  init: z.strictObject({ hidden: size, heads: size, ffn: size, layers: z.int().min(0).optional() }).optional(),
  plan: z.unknown().optional(),
  /** Several: each is tried with the first seed, the best is taken for the others. */
  lr: z.union([z.number().gt(0), z.array(z.number().gt(0)).min(1)]).optional(),
  optimizer: change.optional(),
  schedule: schedule.unwrap().optional(),
  seeds: z.array(seed).min(1).optional(),
  /** false: one run to the end of its own schedule. */
  branches: z.literal(false).optional(),
});

export const studySchema = z.strictObject({
  title: z.string().min(1),
  /** Paragraphs at the top of the page. */
  about: z.array(z.string()).default([]),
  /** What its author reads in the figures: paragraphs after the tables. */
  discussion: z.array(z.string()).default([]),
  out: z.string().min(1),
  records: z.string().min(1).optional(),
  results: z.string().min(1).optional(),
  /** Where the tables go as Markdown; default: study.md in `results`. */
  markdown: z.string().min(1).optional(),
  data: z.union([
    z.strictObject({ from: z.string().min(1) }),
    z.strictObject({
      files: z.array(z.string().min(1)).min(1),
      field: z.string().min(1).optional(),
      tokenizer: z.strictObject({
        kind: z.enum(["wordpiece", "bpe"]),
        vocabulary: z.int().min(2),
        lowercase: z.boolean().default(false),
      }),
      length: z.int().min(4),
      validation: z.number().gt(0).lt(1).default(0.01),
    }),
  ]),
  source: z.union([
    z.strictObject({ from: z.string().min(1) }),
    z.strictObject({
      config,
      seed: seed.default(0),
      tokens: count.optional(),
      steps: count.optional(),
      optimizer: change.optional(),
      schedule: schedule.unwrap().optional(),
      plan: z.unknown().optional(),
    }),
  ]),
  target: z.union([z.strictObject({ config }), z.strictObject({ hidden: size, heads: size, ffn: size, layers: size })]),
  budget: z
    .strictObject({ tokens: count.optional(), steps: count.optional() })
    .refine(({ tokens, steps }) => (tokens === undefined) !== (steps === undefined), {
      message: "`budget` is neither tokens nor steps, or both",
      params: { wayOut: "give the tokens, or the steps, of the run from scratch" },
    }),
  /** Which count the budget and the headline savings use. */
  accounting: z.enum(["exact", "paper"]).default("exact"),
  seeds: z.array(seed).min(1).default([1]),
  objective: runSchema.shape.objective,
  batch: runSchema.shape.batch,
  optimizer: optimizerKeys.prefault({}),
  schedule,
  /** Annealed from one trunk at these shares of the budget, the whole of it always; without it: one run a method. */
  branches: z
    .strictObject({
      at: z.array(z.number().gt(0).max(1)).default([0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
      /** Share of a branch's steps, from the run's first one on, in which the rate falls. */
      cooldown: z.number().gt(0).lt(1).default(0.2),
      decay: z.enum(decays).exclude(["constant"]).default("sqrt"),
      /** `shared`: stages stand where the whole budget puts them; `own`: each branch's where its own length does. */
      stages: z.enum(["shared", "own"]).default("shared"),
    })
    .optional(),
  evaluate: runSchema.shape.evaluate,
  checkpoint: z.strictObject({ every: z.int().min(0).default(100) }).prefault({}),
  log: runSchema.shape.log,
  engine: runSchema.shape.engine,
  /** By their names: a TASK.yaml's keys less `model` and `out`, or a task without training and its `path`. */
  tasks: z.record(z.string().regex(/^[\w.+-]+$/), z.looseObject({ task: z.string() })).default({}),
  methods: z.record(z.string().regex(/^[\w.+-]+$/), method.nullable()),
});

export type StudyFile = z.infer<typeof studySchema>;
