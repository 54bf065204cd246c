/** RUN.yaml, the run's folder, places, and numbers that stop being numbers. */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, change, type Group, model, putTogether, runFile, smallBert, takeApart } from "../support.ts";

/** `pretrain` on a run with other lines. */
function run(
  name: string,
  lines: Readonly<Record<string, string>>,
  says: string,
  hint: string,
  cause: string,
  more: readonly string[] = [],
): Case {
  return { name, words: async (folder) => ["pretrain", await runFile(folder, lines), ...more], says, hint, cause };
}

/** `pretrain` on a file of any text. */
function text(name: string, bytes: string | Uint8Array, says: string, hint: string, cause: string): Case {
  const words = async (folder: string) => {
    const path = await runFile(folder);
    writeFileSync(path, bytes);
    return ["pretrain", path];
  };
  return { name, words, says, hint, cause };
}

const bomb = Array.from(
  { length: 12 },
  (_, i) => `a${i}: &a${i} [${Array(10).fill(i === 0 ? "x" : `*a${i - 1}`)}]`,
).join("\n");

export const runs: Group = {
  title: "RUN.yaml",
  cases: [
    {
      name: "no run",
      words: async () => ["pretrain"],
      says: "pretrain: no run is named",
      hint: "give a RUN.yaml; `bert2bert pretrain --recommend MODEL --data DATA > run.yaml` writes one",
      cause: "`pretrain` without a file",
    },
    run(
      "pairs with their documents apart",
      { objective: "mlm+nsp", batch: "{sequences: 2, documents: apart}" },
      "batch.documents: objective mlm+nsp has no documents to keep apart",
      "leave batch.documents out: the parts of a pair come from where they are drawn, and must see each other",
      "`documents: apart` with sentence pairs",
    ),
    {
      name: "runs beside none",
      words: async (folder) => ["pretrain", await runFile(folder), "--beside", folder],
      says: "--beside: there is no page",
      hint: "add --serve",
      cause: "`--beside` without `--serve`",
    },
    {
      name: "a page on a port that there is not",
      words: async (folder) => ["pretrain", await runFile(folder), "--serve", "99999"],
      says: "--serve: `<value>` is no whole number from 0 to 65535",
      hint: "give one",
      cause: "a typing error",
    },
    {
      name: "a report of no run",
      words: async (folder) => ["report", folder, "--out", join(folder, "page.html")],
      says: "<folder>: it is no run: there is no metrics.jsonl",
      hint: "name a run's folder (`out` of its RUN.yaml)",
      cause: "another folder is meant, such as the model in a run's",
    },
    {
      name: "a push without a token",
      words: async (folder) => ["push", model(folder), "me/mine"],
      says: "HF_TOKEN: it is not set, and only its owner may write to a repository",
      hint: "set it to a token that may write",
      cause: "`push` where HF_TOKEN is not set",
    },
    {
      name: "a push to no name",
      words: async (folder) => ["push", model(folder), "mine"],
      says: "mine: it is no name on the Hub",
      hint: "give org/name, such as me/my-bert",
      cause: "a name without its owner",
    },
    {
      name: "a recommendation without data",
      words: async () => ["pretrain", "--recommend", "model"],
      says: "--recommend: no data is named",
      hint: "give --data, a folder that `bert2bert prepare` wrote",
      cause: "`--recommend` without `--data`",
    },
    run(
      "an unknown key",
      { optimiser: "{lr: 1}" },
      "<file>:<n>: `<key>` is not a key",
      "<what to do>",
      "a typing error; the nearest known key is named",
    ),
    run(
      "an unknown key further in",
      { batch: "{sequnces: 4}" },
      "<file>:<n>: `<key>` is not a key",
      "<what to do>",
      "a typing error; the nearest known key is named",
    ),
    run(
      "a wrong type",
      { batch: "{sequences: many}" },
      "<file>:<n>: `<key>` is <value>, not a number",
      "give a number",
      "text where a number belongs",
    ),
    run(
      "a list where keys belong",
      { optimizer: "[1, 2]" },
      "<file>:<n>: `<key>` is <value>, not a map of keys",
      "give a map, `{key: value}`, of <keys>",
      "a list where `key: value` belongs",
    ),
    run(
      "a wrong unit",
      { steps: "4X" },
      "<file>:<n>: <value> is not a whole number above 0",
      "write it as 4000000, or with a unit k, M or B: 4M",
      "an unknown unit, a fraction, or text",
    ),
    run(
      "a wrong choice",
      { objective: "mlmm" },
      "<file>:<n>: `objective` can't be <value>",
      "<what to do>",
      "a typing error; the nearest known word is named",
    ),
    run(
      "a number below its range",
      { seed: "-1" },
      "<file>:<n>: `<key>` is <value>",
      "give at least <n>",
      "a number out of its range",
    ),
    run(
      "a number above its range",
      { engine: "{threads: 1000000}" },
      "<file>:<n>: `<key>` is <value>",
      "give at most <n>",
      "a number out of its range",
    ),
    run(
      "no length",
      { steps: "" },
      "<file>:<n>: <value> is not a whole number above 0",
      "write it as 4000000, or with a unit k, M or B: 4M",
      "an unknown unit, a fraction, or text",
    ),
    run(
      "two lengths",
      { epochs: "2" },
      "<file>:<n>: the run's length is given more than once",
      "give one of `steps`, `tokens`, `epochs`",
      "the length is to be said in one unit",
    ),
    run(
      "two models",
      { model: "{from: a, init: b}" },
      "<file>:<n>: `model` needs either `from` or `init`",
      "give {from: a model folder}, or {init: a config.json, tokenizer: a folder}",
      "a run starts from a model folder or from random weights",
    ),
    run(
      "a head added to a model from a config",
      { model: "{init: config.json, add-head: true}" },
      "<file>:<n>: `add-head` goes with `from`",
      "leave it out: `architectures` in the config that `init` names says which heads there are",
      "a config's class has the heads it has",
    ),
    run(
      "an unknown plan",
      { plan: "twostage" },
      "<file>:<n>: there is no plan `<name>`",
      "<what to do>",
      "a typing error; the nearest known plan is named",
    ),
    run(
      "a plan that runs more blocks than there are",
      { plan: "[{models: [{layers: 9, train: 1}]}]" },
      "<file>:<n>: stage <name> runs <n> blocks of a model that has <n>",
      "change the stages, or the length of the run",
      "a plan for a deeper model",
    ),
    run(
      "new blocks that are not there",
      { plan: "[{train: new}]" },
      "plan: stage <name> trains the new blocks, and there are none: the last growth added no layer",
      "give the stage a `grow` with more layers, or start from a model that grew deeper",
      "`train: new` is for what a growth in depth added",
    ),
    run(
      "new blocks and sub-models",
      { plan: "[{train: new, models: [{layers: 2, train: 1}]}]" },
      "<file>:<n>: a stage that trains the new blocks runs all of them, and has no `models`",
      "leave out `models`, or `train`",
      "both say what trains",
    ),
    run(
      "a growth that shrinks",
      { plan: "[{steps: 2}, {grow: {layers: 1, method: fpi}}]" },
      "target: layers would shrink from <n> to <n>",
      "give at least the source's <n>: models only grow",
      "a source that is larger than the target in one of its sizes",
    ),
    run(
      "moments that are not there",
      { model: "{from: model}", optimizer: "{moments: keep}" },
      "<file>:<n>: there are no moments to keep in <folder>",
      "set it to fresh, or start from a folder that holds optimizer.safetensors",
      "only checkpoints of a run hold moments",
    ),
    run(
      "an unknown engine",
      { engine: "{kind: onyx}" },
      "engine.kind: there is no engine `<name>`",
      "<what to do>",
      "a typing error; the nearest known engine is named",
    ),
    run(
      "a key of another engine",
      { engine: "{kind: onnx, device: gpu}" },
      "<file>:<n>: only the engine <name> has `<key>`",
      "leave it out, or set engine.kind to <name>",
      "devices are the XLA engine's",
    ),
    run(
      "an engine whose Python is not there",
      { engine: "{kind: xla, python: ./nowhere}" },
      "<file>: can't be started (<reason>)",
      "<what to do>",
      "the XLA engine runs on a Python that has JAX; the hint says how to get one",
    ),
    run(
      "a --set that is none",
      {},
      "--set <words>: is not `key.path=value`",
      "write for example --set optimizer.lr=2e-4",
      "a typing error",
      ["--set", "nothing"],
    ),
    run(
      "a --set of an unknown key",
      {},
      "--set <words>: `<key>` is not a key",
      "<what to do>",
      "a typing error; the nearest known key is named",
      ["--set", "optimizer.rate=1"],
    ),
    text(
      "a missing key",
      "out: out\nmodel: {init: config.json}\ndata: {from: data}\nsteps: 4\n",
      "<file>: `<key>` is missing",
      "give one of <words>",
      "a key that has no default",
    ),
    text(
      "no length at all",
      "out: out\nmodel: {init: config.json}\ndata: {from: data}\nobjective: mlm\n",
      "<file>: how long the run is, is missing",
      "give one of `steps`, `tokens`, `epochs`",
      "a key that has no default",
    ),
    text(
      "broken YAML",
      "out: [\n",
      "<file>:<n>: is not YAML: <reason>",
      "mend that line",
      "an open bracket, a tab, a colon too many",
    ),
    text("no keys", "- a\n", "<file>: holds no keys", "write it as `key: value` lines", "an empty file, or a list"),
    text(
      "a key that is a map",
      "out: out\n? {a: 1}\n: b\n",
      "<file>:<n>: a key that is a list or a map",
      "mend that line",
      "a bracket or a question mark too many",
    ),
    text(
      "not UTF-8",
      new Uint8Array([0x6f, 0xff, 0x0a]),
      "<file>: not UTF-8 text",
      "save it as UTF-8, or get the file anew",
      "a file in another encoding",
    ),
    text(
      "aliases of aliases",
      bomb,
      "<file>: is not YAML that can be read (<reason>)",
      "mend it",
      "aliases that would fill the memory, or brackets nested by the thousand",
    ),
    text(
      "brackets by the thousand",
      `out: ${"[".repeat(200_000)}`,
      "<file><place>: is not YAML<reason>",
      "<what to do>",
      "aliases that would fill the memory, or brackets nested by the thousand",
    ),
    {
      name: "a file that is too large",
      words: async (folder) => {
        const path = await runFile(folder);
        truncateSync(path, 2 ** 31);
        return ["pretrain", path];
      },
      says: "<file>: <n> bytes are no file of settings",
      hint: "name a YAML file",
      cause: "another file is meant",
    },
    {
      name: "a folder in place of the file",
      words: (folder) => ["pretrain", folder],
      says: "<folder>: it is a folder, not a YAML file",
      hint: "name the file in it",
      cause: "the run's folder is named in place of its file",
    },
    {
      name: "a file that is not there",
      words: (folder) => ["plan", join(folder, "run.yaml")],
      says: "<file>: there is no such file or folder",
      hint: "check the path",
      cause: "a path with a typing error, or a link whose target was removed",
    },
  ],
};

const bert = { ...smallBert, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 };

export const places: Group = {
  title: "Run folders, memory, numbers",
  cases: [
    {
      name: "a run folder that holds something else",
      words: async (folder) => {
        mkdirSync(join(folder, "out"));
        writeFileSync(join(folder, "out", "precious"), "keep me");
        return ["pretrain", await runFile(folder)];
      },
      says: "<folder>: the folder is not empty and holds no run (there is <name>)",
      hint: "name another folder in `out`, or remove this one",
      cause: "nothing is overwritten",
    },
    {
      name: "a run folder of another run",
      words: async (folder) => {
        mkdirSync(join(folder, "out"));
        writeFileSync(join(folder, "out", "run.yaml"), "seed: 7\n");
        return ["pretrain", await runFile(folder)];
      },
      says: "<folder>: holds another run: <what differs>",
      hint: "name another folder in `out`, undo the change, or remove the folder",
      cause: "the run's file was changed after it began",
    },
    run(
      "one beta",
      { optimizer: "{betas: 0.98}" },
      "<file>:<n>: `<key>` is <value>, not a list",
      "write `[0.9, 0.98]`",
      "a number where two belong",
    ),
    run(
      "a step of a model drawn at random",
      { model: "{init: config.json, step: 10}" },
      "<file>:<n>: `model.step` is a step of the run that `model.from` names",
      "give {from: a run folder, step: a step it has a checkpoint of}",
      "`model.step` without `model.from`",
    ),
    run(
      "a run carried further that is none",
      { model: "{from: model, step: 10}" },
      "<file>:<n>: <folder> is no run: there is no run.yaml",
      "name a run's folder",
      "`model: {from, step}` with a model folder; without `step` it starts from that",
    ),
    run(
      "a checkpoint after the end",
      { checkpoint: "{at: [1000000]}" },
      "<file>:<n>: `checkpoint.at` names step <n>, and the run has <n>",
      "name steps of the run",
      "a checkpoint that would never be written",
    ),
    run(
      "a cooldown under the run's decay",
      { plan: "[{schedule: {cooldown: 2}}]" },
      "<file>:<n>: a stage that goes on with the run's decay has no cooldown of its own",
      "give the stage a decay (linear, …), or the cooldown to the run's `schedule`",
      "`cooldown` in a stage's `schedule` whose `decay` is `run`",
    ),
    {
      name: "a place below a file",
      words: async (folder) => ["pretrain", await runFile(folder, { out: "config.json/out" })],
      says: "<file>: a part of the path is a file, not a folder",
      hint: "check the path",
      cause: "a path with a typing error",
    },
    {
      name: "a name that is too long",
      words: async (folder) => ["pretrain", await runFile(folder, { out: "x".repeat(300) })],
      says: "<file>: the name is too long for the file system",
      hint: "choose a shorter one",
      cause: "file systems take names of at most 255 bytes",
    },
    {
      name: "a model that does not fit into memory",
      words: async (folder) => [
        "pretrain",
        await runFile(
          folder,
          {},
          { ...bert, hidden_size: 65536, num_attention_heads: 64, intermediate_size: 262144, num_hidden_layers: 96 },
        ),
      ],
      says: "<file>: the run takes at least <n> GB of memory, <what> has <n> GB to spare",
      hint: "lower batch.sequences and raise batch.accumulate as much, choose a smaller model, or free memory",
      cause:
        "said before anything starts, from the program's own sizes and what the system and the control group leave",
    },
    {
      name: "a batch that does not fit into memory",
      words: async (folder) => [
        "pretrain",
        await runFile(folder, { batch: "{sequences: 30000000}", optimizer: "{dropout: 0}" }),
      ],
      says: "<file>: the run takes at least <n> GB of memory, <what> has <n> GB to spare",
      hint: "lower batch.sequences and raise batch.accumulate as much, choose a smaller model, or free memory",
      cause:
        "said before anything starts, from the program's own sizes and what the system and the control group leave",
    },
    {
      name: "a batch beyond all memory",
      words: async (folder) => ["pretrain", await runFile(folder, { batch: "{sequences: 1000000000000}" })],
      says: "<file>:<n>: with <n> sequences a single value of a step would hold <n> numbers",
      hint: "lower batch.sequences and raise batch.accumulate as much",
      cause: "a typing error",
    },
    {
      name: "NaN in the weights",
      words: async (folder) => {
        const { path } = await withNaN(folder);
        return ["pretrain", path];
      },
      says: "<folder>: <name> holds NaN or infinity",
      hint: "use another checkpoint: this one can't be trained further",
      cause: "a checkpoint of a run that diverged",
    },
    {
      name: "NaN in the weights of an evaluation",
      words: async (folder) => {
        const { source } = await withNaN(folder);
        return ["evaluate", source, "--data", join(folder, "data")];
      },
      says: "<folder>: <name> holds NaN or infinity",
      hint: "use another checkpoint: this one can't be trained further",
      cause: "a checkpoint of a run that diverged",
    },
    {
      name: "NaN in the weights of a source",
      words: async (folder) => {
        const { source } = await withNaN(folder);
        return ["grow", source, join(folder, "deep", "out"), "--method", "fpi", "--layers", "4"];
      },
      says: "<folder>: NaN or infinity in <n> of <name>",
      hint: "use another checkpoint, or take over what the source has: --keep-nonfinite",
      cause: "a checkpoint of a run that diverged: what grows from it would be of no use either",
    },
    {
      name: "a spread of random weights that float32 has not",
      words: (folder) => {
        const path = join(folder, "config.json");
        writeFileSync(path, JSON.stringify({ ...smallBert, initializer_range: 1e39 }));
        return ["init", path, join(folder, "deep", "out")];
      },
      says: "<folder>: NaN or infinity in <n> of <n> tensors, such as <name>",
      hint: "nothing can be computed with these",
      cause: "an `initializer_range` in config.json that is far too large",
    },
    {
      name: "weights too large for the format",
      words: async (folder) => {
        const { source } = await withNaN(folder, 1e5);
        return ["grow", source, join(folder, "deep", "out"), "--method", "fpi", "--layers", "4", "--dtype", "F16"];
      },
      says: "<folder>: too large for F16: <n> of <name>",
      hint: "store them as BF16 or F32 (`--dtype`)",
      cause: "F16 holds up to 65504; what is larger would become infinity",
    },
    {
      name: "a loss that is not a number",
      words: async (folder) => [
        "pretrain",
        await runFile(folder, {
          optimizer: "{lr: 1e36}",
          schedule: "{warmup: 0, decay: constant}",
          checkpoint: "{every: 0}",
        }),
      ],
      says: "<folder>: step <n> gave a loss that is not a number (before it all weights were finite, the largest <n> in <name>); no checkpoint had been written",
      hint: "start again with a lower optimizer.lr or a longer warm-up",
      cause: "the run diverged; the newest checkpoint is from before",
    },
    {
      name: "weights that overflow",
      words: async (folder) => [
        "pretrain",
        await runFile(folder, {
          optimizer: "{lr: 1e39}",
          schedule: "{warmup: 0, decay: constant}",
          checkpoint: "{every: 0}",
        }),
      ],
      says: "<folder>: step <n> gave a loss that is not a number (<name> held NaN or infinity before it); no checkpoint had been written",
      hint: "start again with a lower optimizer.lr or a longer warm-up",
      cause: "the run diverged; the newest checkpoint is from before",
    },
  ],
};

/** A run from a model with one weight that is not a number, or is `value`. */
async function withNaN(folder: string, value = Number.NaN): Promise<{ path: string; source: string }> {
  const source = model(folder, "bert-tiny", "source");
  const weights = join(source, "model.safetensors");
  const { header, data } = takeApart(new Uint8Array(readFileSync(weights)));
  const own = data.slice();
  new DataView(own.buffer).setFloat32(
    header["bert.encoder.layer.1.attention.self.key.weight"].data_offsets[0] + 8,
    value,
    true,
  );
  writeFileSync(weights, putTogether(header, own));
  change(join(source, "config.json"), { max_position_embeddings: 32 });
  return { path: await runFile(folder, { model: "{from: source}" }), source };
}

export const words: Group = {
  title: "The command line",
  cases: [
    {
      name: "an unknown command",
      words: () => ["gorw"],
      says: "bert2bert: there is no command `<name>`",
      hint: "<what to do> (`bert2bert --help` lists them)",
      cause: "a typing error; the nearest known command is named",
    },
    {
      name: "an unknown option",
      words: () => ["grow", "--metod", "fpi"],
      says: "bert2bert <command>: unknown option `<name>`",
      hint: "<what to do> (`bert2bert <command> --help` explains it)",
      cause: "a typing error; the nearest known option is named",
    },
    {
      name: "an argument that is missing",
      words: () => ["inspect"],
      says: "bert2bert <command>: missing required argument `<name>`",
      hint: "`bert2bert <command> --help` explains it",
      cause: "too few words",
    },
    {
      name: "an option that is missing",
      words: () => ["prepare", "x"],
      says: "bert2bert <command>: required option `<name>` not specified",
      hint: "`bert2bert <command> --help` explains it",
      cause: "too few words",
    },
    {
      name: "an argument too many",
      words: () => ["inspect", "a", "b"],
      says: "bert2bert <command>: too many arguments <reason>",
      hint: "`bert2bert <command> --help` explains it",
      cause: "a path with a space that is not quoted",
    },
  ],
};
