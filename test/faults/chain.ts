/**
 * A chain that the tests of faults disturb: a tokenizer, prepared data and a small model, then growth and a two-stage
 * run of the grown model with dropout, accumulation, evaluation, and sentence pairs for BERT.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generateStories } from "../../src/quickstart/stories.ts";
import { cli } from "../support.ts";
import { hashes, main, runResults } from "./disturb.ts";

export type Kind = "bert" | "gpt2";

const configs = {
  bert: {
    model_type: "bert",
    architectures: ["BertForPreTraining"],
    vocab_size: 120,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 16,
    max_position_embeddings: 16,
    hidden_dropout_prob: 0.1,
    attention_probs_dropout_prob: 0.1,
  },
  gpt2: {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: 300,
    n_embd: 8,
    n_layer: 1,
    n_head: 2,
    n_positions: 16,
    resid_pdrop: 0.1,
    embd_pdrop: 0.1,
    attn_pdrop: 0.1,
    bos_token_id: 0,
    eos_token_id: 0,
  },
} as const;

export const objectives = { bert: "mlm+nsp", gpt2: "clm" } as const;

/** RUN.yaml of the grown model. @param out its run folder @param every steps between checkpoints */
export function runYaml(kind: Kind, out: string, steps: number, every: number): string {
  return `
out: ${out}
model: {from: grown}
data: {from: data}
objective: ${objectives[kind]}
batch: {sequences: 3, accumulate: 2}
optimizer: {lr: 5e-3}
steps: ${steps}
plan: {two-stage: {block: 1, share: 0.5}}
evaluate: {every: 9, sequences: 8}
checkpoint: {every: ${every}, keep: 2}
log: {every: 4}
engine: {kind: onnx, threads: 1}
`;
}

const growth = "--hidden 16 --layers 2 --method aki --map random --depth stack --seed 3".split(" ");

/** Makes all that comes before the growth. @param stories how much text */
export function makeChain(kind: Kind, folder: string, stories: number): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "text.txt"), generateStories({ seed: 6, stories }));
  writeFileSync(join(folder, "small.json"), JSON.stringify(configs[kind]));
  const form = { bert: ["wordpiece", "120"], gpt2: ["bpe", "300"] }[kind];
  succeed(folder, "tokenizer", "train", "text.txt", "--out", "tokenizer", "--kind", form[0], "--vocab", form[1]);
  succeed(
    folder,
    ...["prepare", "text.txt", "--tokenizer", "tokenizer", "--out", "data", "--length", "16"],
    ...["--validation", "0.5", "--threads", "1"],
  );
  succeed(folder, "init", "small.json", "small", "--seed", "4");
}

/** Grows the model. */
export function growChain(folder: string): void {
  succeed(folder, "grow", "small", "grown", ...growth);
}

/** Growth, then the run, as one process group: the same words each time. */
export function startChain(folder: string): ChildProcess {
  const quoted = [process.execPath, main].map((word) => `'${word}'`).join(" ");
  const script = `${quoted} grow small grown ${growth.join(" ")} && exec ${quoted} pretrain run.yaml`;
  return spawn("sh", ["-c", script], { cwd: folder, detached: true, stdio: ["ignore", "ignore", "pipe"] });
}

/** What must not depend on when anything was stopped. */
export function chainResults(folder: string): Record<string, unknown> {
  return { ...hashes(join(folder, "grown")), ...runResults(join(folder, "run")) };
}

function succeed(folder: string, ...words: string[]): void {
  const done = cli(words, { cwd: folder });
  if (done.code !== 0) throw new Error(done.stderr);
}
