/**
 * The commands: a line here and a thin file of the same name each. A file is loaded only when its command runs or is
 * asked for help, and what it needs of the library only inside its action, so that `bert2bert --help` loads none of it.
 */
import type { Command } from "@commander-js/extra-typings";

interface CommandFile {
  /** Adds arguments, options and the action to the command, which already has its name and description. */
  register(command: Command): void;
}

const all: readonly (readonly [name: string, description: string, load: () => Promise<CommandFile>])[] = [
  [
    "quickstart",
    "the whole way once, offline, in a few minutes: train, grow, train on, compare",
    () => import("./quickstart.ts"),
  ],
  ["init", "a model folder with random weights from a config", () => import("./init.ts")],
  ["inspect", "say what a model folder holds, from its headers alone", () => import("./inspect.ts")],
  ["grow", "grow a checkpoint into a wider or deeper one", () => import("./grow.ts")],
  ["advise", "whether growing pays: what it may save, from measured cells and papers", () => import("./advise.ts")],
  ["probe", "logits, hidden states, loss and gradients of a checkpoint for given inputs", () => import("./probe.ts")],
  ["verify", "hold a grown model to what its method promised", () => import("./verify.ts")],
  [
    "pretrain",
    "a run by its RUN.yaml; carries on where the run folder holds the same run",
    () => import("./pretrain.ts"),
  ],
  ["evaluate", "validation loss, perplexity and accuracy of a model folder", () => import("./evaluate.ts")],
  ["finetune", "a model trained for a task by its TASK.yaml, and how good it is", () => import("./finetune.ts")],
  ["sample", "text from a causal model", () => import("./sample.ts")],
  ["fill-mask", "what a masked model puts in a text's gaps", () => import("./fill-mask.ts")],
  ["report", "runs side by side as a page, or their metrics as CSV", () => import("./report.ts")],
  ["compare", "what came of runs, and in which settings they differ", () => import("./compare.ts")],
  ["study", "growth methods on one budget: runs what is missing, writes tables and a page", () => import("./study.ts")],
  ["plan", "parameters, memory, FLOPs and time of a run; nothing is written", () => import("./plan.ts")],
  ["tokenizer", "train a tokenizer on text", () => import("./tokenizer.ts")],
  ["prepare", "text to token blocks on disk, a part of it held out for validation", () => import("./prepare.ts")],
  ["push", "a model folder, with its card, to the Hugging Face Hub", () => import("./push.ts")],
  ["completion", "what a shell needs to complete commands and options", () => import("./completion.ts")],
  ["doctor", "which engines can run here, and how to get the others", () => import("./doctor.ts")],
];

export const commands = all.map(([name, description, load]) => ({ name, description, load }));
