/** What is held by another process, or is not as it was written. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { checksumsFile, checksumsText } from "../../../../src/store/checksums.ts";
import { lifeOf, placeOf } from "../../../../src/store/owner.ts";
import { writeRunFile } from "../../../../src/train/run/folder.ts";
import { loadRun } from "../../../../src/train/run/settings.ts";
import { type Group, inProcess, model, runFile, smallBert } from "../support.ts";

const bert = { ...smallBert, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };

/** A run of two steps that has ended. @returns RUN.yaml's path */
async function endedRun(folder: string): Promise<string> {
  const path = await runFile(folder, { steps: "2" }, bert);
  const done = await inProcess(["pretrain", path]);
  if (done.code !== 0) throw new Error(done.stderr);
  return path;
}

function metrics(folder: string, change: (lines: string[]) => string[]): void {
  const path = join(folder, "out", "metrics.jsonl");
  writeFileSync(path, change(readFileSync(path, "utf8").split("\n")).join("\n"));
}

/** A model whose SHA256SUMS tells of other weights. */
function damaged(folder: string): string {
  const path = model(folder);
  const files = new Map([["model.safetensors", "0".repeat(64)]]);
  writeFileSync(join(path, checksumsFile), checksumsText({ files, origin: undefined }));
  return path;
}

export const damage: Group = {
  title: "What is held, or not as it was written",
  cases: [
    {
      name: "a run that another process writes",
      words: async (folder) => {
        const path = await runFile(folder, {}, bert);
        mkdirSync(join(folder, "out"));
        const holder = { pid: process.ppid, host: hostname(), place: placeOf(), life: lifeOf(process.ppid) };
        writeFileSync(join(folder, "out", "run.lock"), JSON.stringify(holder));
        return ["pretrain", path];
      },
      says: "<file>: the run is held by process <n> on <host>",
      hint: "wait for it to end or stop it; if it is gone for sure, remove this file",
      cause: "one process writes a run; one that is dead does not block",
    },
    {
      name: "a run none of whose checkpoints is whole",
      words: async (folder) => {
        const path = await runFile(folder, {}, bert);
        const step = join(folder, "out", "checkpoints", "step-2");
        mkdirSync(step, { recursive: true });
        writeFileSync(join(step, "config.json"), "{}");
        await writeRunFile((await loadRun(path)).settings);
        return ["pretrain", path];
      },
      says: "<folder>: none of the run's checkpoints is whole (<names>)",
      hint: "put back a good copy of one, or remove this folder to begin the run anew",
      cause: "each was damaged, which is said before; of several the newest whole one is taken",
    },
    {
      name: "metrics that lack lines",
      words: async (folder) => {
        const path = await endedRun(folder);
        metrics(folder, (lines) => lines.slice(1));
        return ["pretrain", path];
      },
      says: "<file>: it holds <n> lines, and the checkpoint counts <n>",
      hint: "put back the file as it was, or begin the run anew in another folder",
      cause: "metrics.jsonl was changed by hand or damaged",
    },
    {
      name: "metrics with a damaged line",
      words: async (folder) => {
        const path = await endedRun(folder);
        metrics(folder, (lines) => lines.with(0, "{torn"));
        return ["pretrain", path];
      },
      says: "<file>:<n>: the line is damaged",
      hint: "put back the file as it was",
      cause: "metrics.jsonl was changed by hand or damaged",
    },
    {
      name: "growth from damaged weights",
      words: (folder) => ["grow", damaged(folder), join(folder, "grown"), "--method", "fpi", "--hidden", "128"],
      says: "<folder>: <names> is not as written",
      hint: "use a good copy; if the change was meant, remove SHA256SUMS",
      cause: "a file's bytes are not those that SHA256SUMS beside it tells of: the disk, a copy or a hand changed them",
    },
    {
      name: "a run from damaged weights",
      words: async (folder) => ["pretrain", await runFile(folder, { model: `{from: ${damaged(folder)}}` }, bert)],
      says: "<folder>: <names> is not as written",
      hint: "use a good copy; if the change was meant, remove SHA256SUMS",
      cause: "a file's bytes are not those that SHA256SUMS beside it tells of: the disk, a copy or a hand changed them",
    },
    {
      name: "a check of a folder without checksums",
      words: (folder) => ["inspect", model(folder), "--check"],
      says: "<folder>: there is no SHA256SUMS",
      hint: "only folders that bert2bert wrote have one",
      cause: "the folder was written by something else",
    },
  ],
};
