/**
 * Every write point: a command fails, or dies, at its n-th change of a file. What was good is as it was, and the same
 * words again end with the bytes of a command that nothing disturbed. Every n here with `npm run test:faults`, else a
 * seeded choice.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { permutation } from "../../src/data/prepared/order.ts";
import { generateStories } from "../../src/quickstart/stories.ts";
import { checkFiles } from "../../src/store/checksums.ts";
import { RandomStream } from "../../src/util/random.ts";
import { cli, temporaryFolder } from "../support.ts";
import { changesOf, disturbed, type Fault, hashes, leftOvers, runResults } from "./disturb.ts";
import { full, patience } from "./scale.ts";

const run = `
out: run
model: {init: small.json, tokenizer: tokenizer}
data: {from: data}
objective: mlm
batch: {sequences: 2}
steps: 4
plan:
  - {name: narrow, share: 0.5}
  - {name: wide, grow: {hidden: 16, moments: grow}, optimizer: keep}
evaluate: {every: 4, sequences: 4}
checkpoint: {every: 2, keep: 1}
log: {every: 2}
engine: {kind: onnx, threads: 1}
`;

const small = {
  model_type: "bert",
  architectures: ["BertForMaskedLM"],
  vocab_size: 120,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
  max_position_embeddings: 16,
};

interface Command {
  readonly words: readonly string[];
  /** The folder it writes. */
  readonly out: string;
  /** Cases of the short form, beside those of the others. */
  readonly short: number;
}

const commands: Readonly<Record<string, Command>> = {
  tokenizer: {
    words: ["tokenizer", "train", "text.txt", "--out", "tokenizer-2", "--kind", "wordpiece", "--vocab", "120"],
    out: "tokenizer-2",
    short: 1,
  },
  prepare: {
    words: [
      ...["prepare", "text.txt", "--tokenizer", "tokenizer", "--out", "data-2", "--length", "16"],
      ...["--validation", "0.2", "--threads", "1"],
    ],
    out: "data-2",
    short: 2,
  },
  init: { words: ["init", "small.json", "small", "--seed", "3", "--max-shard", "2kB"], out: "small", short: 1 },
  grow: {
    words: [
      "grow",
      "trained/model",
      "grown",
      "--hidden",
      "16",
      "--layers",
      "2",
      "--method",
      "aki",
      "--max-shard",
      "5kB",
    ],
    out: "grown",
    short: 2,
  },
  // Large enough for its files to be written directly.
  "grow, directly": {
    words: ["grow", "trained/model", "grown", "--hidden", "192", "--method", "fpi"],
    out: "grown",
    short: 1,
  },
  "a run": { words: ["pretrain", "run.yaml"], out: "run", short: 4 },
};

const faults: readonly Fault[] = ["SIGKILL", "ENOSPC", "EIO"];

const messages = { ENOSPC: "the disk is full", EIO: "the disk reports an error", SIGKILL: "" };

describe("every write point", () => {
  const root = temporaryFolder();
  const base = join(root, "base");
  const place = join(root, "place");

  beforeAll(() => {
    mkdirSync(base);
    const make = (...words: string[]) => {
      const done = cli(words, { cwd: base });
      expect(done.code, done.stderr).toBe(0);
    };
    writeFileSync(join(base, "text.txt"), generateStories({ seed: 5, stories: 40 }));
    writeFileSync(join(base, "small.json"), JSON.stringify(small));
    writeFileSync(join(base, "run.yaml"), run);
    make("tokenizer", "train", "text.txt", "--out", "tokenizer", "--kind", "wordpiece", "--vocab", "120");
    make("prepare", "text.txt", "--tokenizer", "tokenizer", "--out", "data", "--length", "16", "--validation", "0.2");
    make("pretrain", "run.yaml", "--set", "out=trained", "--set", "steps=2", "--set", "plan=full");
    // A folder of a run with its moments beside the weights, to be grown with them.
    rmSync(join(base, "trained", "model"), { recursive: true });
    cpSync(join(base, "trained", "checkpoints", "step-2"), join(base, "trained", "model"), { recursive: true });
  });

  it.each(Object.entries(commands))("of %s", { timeout: patience }, async (command, { words, out, short }) => {
    const fresh = () => {
      rmSync(place, { recursive: true, force: true });
      cpSync(base, place, { recursive: true });
    };
    const results = out === "run" ? runResults : hashes;
    fresh();
    const before = hashes(place);
    const changes = changesOf(words, place);
    const undisturbed = results(join(place, out));
    // The same checkpoints again, none of them removed: what each must hold whenever it is there.
    let checkpoints: Record<string, unknown> = {};
    if (out === "run") {
      fresh();
      expect(cli([...words, "--set", "checkpoint.keep=99"], { cwd: place }).code).toBe(0);
      checkpoints = results(join(place, out));
    }
    // What frees space does not fail for want of it.
    const cases = changes.flatMap((change, n) =>
      faults.filter((fault) => fault !== "ENOSPC" || !change.startsWith("rm ")).map((fault) => ({ n, fault })),
    );
    const random = new RandomStream(17, `write points of ${command}`);
    const chosen = full ? cases : Array.from({ length: short }, (_, i) => cases[random.below(cases.length, i)]);
    const tryOne = async (name: string, n: number, fault: Fault) => {
      const ended = disturbed(words, place, fault, n);
      if (fault === "SIGKILL") {
        expect(ended.signal, name).toBe("SIGKILL");
      } else {
        // That something of no use could not be removed need not stop a command; all else does, in words.
        if (ended.code !== 0 || !changes[n].startsWith("rm ")) expect(ended.code, `${name}\n${ended.stderr}`).toBe(2);
        if (ended.code === 2)
          expect(ended.stderr, name).toMatch(new RegExp(`^error: .*${messages[fault]}\nhint: `, "m"));
        expect(ended.stderr, name).not.toMatch(/^ +at /m);
      }
      for (const [path, hash] of Object.entries(before)) expect(hashes(place)[path], `${name}: ${path}`).toBe(hash);
      if (out === "run") {
        await checkCheckpoints(join(place, out), checkpoints, changes.slice(0, n), name);
      } else if (existsSync(join(place, out))) {
        expect(fault, name).toBe("SIGKILL");
        expect(hashes(join(place, out)), name).toEqual(undisturbed);
      }
      const again = cli(words, { cwd: place });
      expect(again.code, `${name}\n${again.stderr}`).toBe(0);
      expect(results(join(place, out)), name).toEqual(undisturbed);
      expect(leftOvers(place), name).toEqual([]);
    };
    const failures: string[] = [];
    // In random order, so that what has been tried at any moment is a fair sample.
    const order = full ? permutation(cases.length, random) : undefined;
    for (const [i, { n, fault }] of chosen.map(
      (each, i) => [i, order === undefined ? each : cases[order(i)]] as const,
    )) {
      // Past the test runner, which keeps what is said until a test ends: this one may take an hour.
      if (full && i % 20 === 0) writeSync(2, `${command}: ${i} of ${chosen.length}, ${failures.length} failures\n`);
      const name = `${fault} at ${n} of ${changes.length}, ${changes[n]}`;
      fresh();
      try {
        await tryOne(name, n, fault);
      } catch (error) {
        failures.push(error instanceof Error ? error.message.slice(0, 1000) : String(error));
      }
    }
    console.log(`${command}: ${changes.length} changes of files, ${chosen.length} faults, ${failures.length} failures`);
    expect(failures).toEqual([]);
  });
});

/** Every checkpoint there is whole and has the bytes it should; as many of those written are there as are kept. */
async function checkCheckpoints(out: string, expected: Record<string, unknown>, done: readonly string[], name: string) {
  const folder = join(out, "checkpoints");
  const there = existsSync(folder) ? readdirSync(folder).filter((entry) => !entry.startsWith(".")) : [];
  for (const checkpoint of there) {
    expect(await checkFiles(join(folder, checkpoint)), name).toBe(true);
    for (const [path, hash] of Object.entries(hashes(join(folder, checkpoint)))) {
      const known = expected[join("checkpoints", checkpoint, path)];
      if (known !== undefined) expect(hash, `${name}: ${checkpoint} ${path}`).toBe(known);
    }
  }
  // Written for sure: renamed, and the change after that, the sync of the folder, done too.
  const renamed = done.slice(0, -1).filter((change) => /^rename .*\/\.step-\d+\.[^/]*\.part$/.test(change)).length;
  const removed = done.slice(0, -1).filter((change) => /^rename .*\/step-\d+$/.test(change)).length;
  expect(there.length, name).toBeGreaterThanOrEqual(Math.min(1, renamed - removed));
}
