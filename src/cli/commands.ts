/**
 * The commands: one line here and one thin file each. A file is loaded only when its command runs or is asked for help,
 * and what it needs of the library only inside its action, so that `bert2bert --help` loads none of it.
 */
import type { Command } from "commander";

export interface CommandFile {
  /** Adds arguments, options and the action to the command, which already has its name and description. */
  register(command: Command): void;
}

export interface CommandEntry {
  readonly name: string;
  readonly description: string;
  load(): Promise<CommandFile>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: "quickstart",
    description: "the whole way once, offline, in a few minutes: train, grow, train on, compare",
    load: () => import("./quickstart.ts"),
  },
  {
    name: "init",
    description: "a model folder with random weights from a config",
    load: () => import("./init.ts"),
  },
  {
    name: "inspect",
    description: "say what a model folder holds, from its headers alone",
    load: () => import("./inspect.ts"),
  },
  {
    name: "grow",
    description: "grow a checkpoint into a wider or deeper one",
    load: () => import("./grow.ts"),
  },
  {
    name: "advise",
    description: "whether growing pays: what it may save, from measured cells and papers",
    load: () => import("./advise.ts"),
  },
  {
    name: "probe",
    description: "logits, hidden states, loss and gradients of a checkpoint for given inputs",
    load: () => import("./probe.ts"),
  },
  {
    name: "verify",
    description: "hold a grown model to what its method promised",
    load: () => import("./verify.ts"),
  },
  {
    name: "pretrain",
    description: "a run by its RUN.yaml; carries on where the run folder holds the same run",
    load: () => import("./pretrain.ts"),
  },
  {
    name: "evaluate",
    description: "validation loss, perplexity and accuracy of a model folder",
    load: () => import("./evaluate.ts"),
  },
  {
    name: "finetune",
    description: "a model trained for a task by its TASK.yaml, and how good it is",
    load: () => import("./finetune.ts"),
  },
  {
    name: "sample",
    description: "text from a causal model",
    load: () => import("./sample.ts"),
  },
  {
    name: "fill-mask",
    description: "what a masked model puts in a text's gaps",
    load: () => import("./fill-mask.ts"),
  },
  {
    name: "report",
    description: "runs side by side as a page, or their metrics as CSV",
    load: () => import("./report.ts"),
  },
  {
    name: "compare",
    description: "what came of runs, and in which settings they differ",
    load: () => import("./compare.ts"),
  },
  {
    name: "study",
    description: "growth methods on one budget: runs what is missing, writes tables and a page",
    load: () => import("./study.ts"),
  },
  {
    name: "plan",
    description: "parameters, memory, FLOPs and time of a run; nothing is written",
    load: () => import("./plan.ts"),
  },
  {
    name: "tokenizer",
    description: "train a tokenizer on text",
    load: () => import("./tokenizer.ts"),
  },
  {
    name: "prepare",
    description: "text to token blocks on disk, a part of it held out for validation",
    load: () => import("./prepare.ts"),
  },
  {
    name: "push",
    description: "a model folder, with its card, to the Hugging Face Hub",
    load: () => import("./push.ts"),
  },
  {
    name: "completion",
    description: "what a shell needs to complete commands and options",
    load: () => import("./completion.ts"),
  },
  {
    name: "doctor",
    description: "which engines can run here, and how to get the others",
    load: () => import("./doctor.ts"),
  },
];
