/**
 * What the quickstart trains, and how long: sizes found by measurement, so that two cores end well within five minutes
 * and the curves still say something.
 */
import type { Json } from "../util/json.ts";

export const quickstartSettings = {
  seed: 1,
  /** Stories of the corpus, where none is given. */
  stories: 5000,
  /** Entries of the tokenizer. */
  vocabulary: 1800,
  /** Tokens of a sequence. */
  length: 128,
  /** Sequences of a step. */
  sequences: 16,
  /** Share of the documents held out. */
  validation: 0.02,
  layers: 4,
  headWidth: 32,
  /** Widths of the small model and of the large one: whole heads. */
  small: 64,
  large: 96,
  /** Steps of the small model, and of the large one from scratch. */
  smallSteps: 300,
  steps: 300,
  rate: 2e-3,
  /** The two-stage plan's. */
  block: 2,
  share: 0.125,
  evaluateEvery: 25,
  evaluateSequences: 64,
};

export type QuickstartSettings = Readonly<typeof quickstartSettings>;

/** A GPT-2 of a width: the architecture that learns soonest, since every token is predicted. */
export function modelConfig(settings: QuickstartSettings, width: number, vocabulary: number, end: number): Json {
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: vocabulary,
    n_positions: settings.length,
    n_embd: width,
    n_layer: settings.layers,
    n_head: width / settings.headWidth,
    attn_pdrop: 0,
    embd_pdrop: 0,
    resid_pdrop: 0,
    bos_token_id: end,
    eos_token_id: end,
  };
}

/** RUN.yaml of one of the runs. @param model the `model` line's value @param plan the `plan` line's */
export function runYaml(
  settings: QuickstartSettings,
  run: {
    readonly out: string;
    readonly model: string;
    readonly plan: string;
    readonly steps: number;
    readonly words: string;
  },
): string {
  return `# ${run.words}
out: ${run.out}
seed: ${settings.seed}
model: ${run.model}
data: {from: data}
objective: clm
batch: {sequences: ${settings.sequences}}
optimizer: {lr: ${settings.rate}, dropout: 0}
schedule: {warmup: 0.05, decay: linear}
steps: ${run.steps}
plan: ${run.plan}
evaluate: {every: ${settings.evaluateEvery}, sequences: ${settings.evaluateSequences}}
# Not bf16 where the processor has it: so that machines see nearly the same figures.
engine: {precision: f32}
checkpoint: {every: 50, keep: 1}
log: {every: 5}
`;
}
