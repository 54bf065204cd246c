/** Model folders whose weights are damaged, lie, or lead elsewhere. */
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileOf } from "../../../checkpoint/headers.ts";
import { fixture } from "../../../support.ts";
import { type Case, type Group, model, putTogether, takeApart, withWeights } from "../support.ts";

const whole = new Uint8Array(readFileSync(fixture("bert-tiny", "model.safetensors")));
const getAnew = "the file is damaged or was not written by safetensors: get it anew";
const a = { dtype: "F32", shape: [2], data_offsets: [0, 8] };
const two = (b: object) => JSON.stringify({ a, b: { dtype: "F32", shape: [2], ...b } });

/** A file of weights that `inspect` refuses. */
function file(name: string, bytes: Uint8Array, says: string, cause: string, hint = getAnew): Case {
  return { name, words: (folder) => ["inspect", withWeights(folder, bytes)], says, hint, cause };
}

/** The index and its two shards, each of half of the tensors. */
export function sharded(folder: string): { path: string; index: Record<string, string>; names: string[] } {
  const path = model(folder);
  rmSync(join(path, "model.safetensors"));
  const { header, data } = takeApart(whole);
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  const index: Record<string, string> = {};
  for (const half of [0, 1]) {
    const shard = `model-0000${half + 1}-of-00002.safetensors`;
    const mine = names.filter((_, i) => i % 2 === half);
    const parts = mine.map((name) => data.subarray(...header[name].data_offsets));
    let at = 0;
    const inner = Object.fromEntries(
      mine.map((name, i) => {
        const start = at;
        at += parts[i].length;
        index[name] = shard;
        return [name, { ...header[name], data_offsets: [start, at] }];
      }),
    );
    writeFileSync(join(path, shard), putTogether(inner, Buffer.concat(parts)));
  }
  writeIndex(path, index);
  return { path, index, names };
}

function writeIndex(path: string, index: Readonly<Record<string, string>>): void {
  writeFileSync(join(path, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: index }));
}

export const files: Group = {
  title: "Files of weights",
  cases: [
    file(
      "an empty file",
      new Uint8Array(0),
      "<file>: only <n> bytes long: no safetensors file is that short",
      "a download that broke off",
    ),
    file(
      "a header that is cut off",
      whole.slice(0, 100),
      "<file>: its header claims <n> bytes, the file has <n>",
      "a download that broke off, or a file that is none of safetensors'",
    ),
    file(
      "data that is cut off",
      whole.slice(0, -1),
      "<file>: tensor <name> ends at byte <n>, the file at <n>",
      "a download or copy that broke off",
    ),
    file(
      "a header of 2^63 bytes",
      fileOf("{}", 0, 2n ** 63n),
      "<file>: its header claims <n> bytes, more than the format allows",
      "a file that is none of safetensors', or a hostile one",
    ),
    {
      name: "a header of 100 MB of nothing",
      words: (folder) => {
        const path = withWeights(folder, fileOf("{", 0, 100_000_000n));
        truncateSync(join(path, "model.safetensors"), 100_000_008);
        return ["inspect", path];
      },
      says: "<file>, header: not valid JSON (<reason>)",
      hint: "mend it or get the file anew",
      cause: "a damaged file",
    },
    file(
      "a header that does not start with {",
      fileOf(" {}", 0),
      "<file>: its header does not start with {",
      "a file that is none of safetensors'",
    ),
    file(
      "a header that is not UTF-8",
      fileOf(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), 0),
      "<file>, header: not UTF-8 text",
      "a damaged file",
      "save it as UTF-8, or get the file anew",
    ),
    file(
      "deep JSON",
      fileOf(`{"a":${"[".repeat(100_000)}`, 0),
      "<file>, header: JSON nested deeper than <n> levels",
      "a hostile file",
      "no file of this kind does that: get it anew",
    ),
    file(
      "a name given twice",
      fileOf(`{"a":${JSON.stringify(a)},"a":${JSON.stringify(a)}}`, 8),
      "<file>, header: a key is given twice in one object",
      "a hostile file, or a writer that is broken",
      "get the file anew",
    ),
    file(
      "an offset that is no whole number",
      fileOf('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}}', 8),
      "<file>, header: a number that is not a plain whole number",
      "a writer that is broken",
      "get the file anew",
    ),
    file(
      "offsets of 2^63",
      fileOf(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,${2n ** 63n}]}}`, 8),
      "<file>: tensor <name> has no pair of data_offsets",
      "a damaged or hostile file",
    ),
    file(
      "offsets outside the file",
      fileOf(two({ data_offsets: [8, 16] }), 8),
      "<file>: tensor <name> ends at byte <n>, the file at <n>",
      "a download or copy that broke off",
    ),
    file(
      "offsets the wrong way round",
      fileOf(two({ data_offsets: [16, 8] }), 16),
      "<file>: tensor <name> ends at <n>, before it starts at <n>",
      "a damaged or hostile file",
    ),
    file(
      "tensors that overlap",
      fileOf(two({ data_offsets: [4, 12] }), 12),
      "<file>: tensor <name> overlaps another",
      "a hostile file, or a writer that is broken",
    ),
    file(
      "a hole between tensors",
      fileOf(two({ data_offsets: [12, 20] }), 20),
      "<file>: a hole lies before tensor <name>",
      "a hostile file, or a writer that is broken",
    ),
    file(
      "bytes after the last tensor",
      fileOf(JSON.stringify({ a }), 9),
      "<file>: <n> bytes follow the last tensor",
      "something was appended, or the header is of another file",
    ),
    file(
      "a dtype of another width",
      fileOf(JSON.stringify({ a: { ...a, dtype: "F64" } }), 8),
      "<file>: tensor <name> of <dtype> [<shape>] takes <n> bytes, but is given <n>",
      "a damaged file",
    ),
    file(
      "an unknown dtype",
      fileOf(JSON.stringify({ a: { ...a, dtype: "F31" } }), 8),
      "<file>: tensor <name> has an unknown dtype <dtype>",
      "a file of a newer safetensors, or a damaged one",
    ),
    file(
      "an unknown field",
      fileOf(JSON.stringify({ a: { ...a, scale: 2 } }), 8),
      "<file>: tensor <name> has an unknown field <name>",
      "a writer that adds to the format",
    ),
    file(
      "a shape beyond all numbers",
      fileOf(JSON.stringify({ a: { ...a, shape: [2 ** 32, 2 ** 32] } }), 8),
      "<file>: tensor <name> has the shape [<shape>]: too large",
      "a hostile file",
    ),
  ],
};

export const folders: Group = {
  title: "Folders of weights",
  cases: [
    {
      name: "no such folder",
      words: (folder) => ["inspect", join(folder, "nothing")],
      says: "<folder>: there is no such folder",
      hint: "check the path",
      cause: "a typing error",
    },
    {
      name: "a name on the Hub",
      words: () => ["inspect", "google-bert/bert-base-uncased"],
      says: "<name>: there is no such folder, and as a model on the Hub (<address>) it was not found: the Hub is not asked, since HF_HUB_OFFLINE is set",
      hint: "check the path, or the name; a private or gated model needs HF_TOKEN",
      cause:
        "a path, or a name on the Hub, that is nowhere; it also says where the Hub has none that may be read, or does not answer",
    },
    {
      name: "a file in place of a folder",
      words: (folder) => ["inspect", join(model(folder), "config.json")],
      says: "<file>: it is a file, not a folder",
      hint: "name the folder",
      cause: "the folder is meant, not a file in it",
    },
    {
      name: "no config",
      words: (folder) => {
        const path = model(folder);
        rmSync(join(path, "config.json"));
        return ["inspect", path];
      },
      says: "<folder>: there is no config.json",
      hint: "name a model folder as transformers saves it",
      cause: "another folder is meant, or only the weights were downloaded",
    },
    {
      name: "an adapter alone",
      words: (folder) => {
        const path = model(folder);
        renameSync(join(path, "config.json"), join(path, "adapter_config.json"));
        renameSync(join(path, "model.safetensors"), join(path, "adapter_model.safetensors"));
        return ["inspect", path];
      },
      says: "<folder>: it holds an adapter, not a model",
      hint: "merge it into its base model in peft (merge_and_unload), save that and name its folder",
      cause: "what peft saved, which is nothing without its base model",
    },
    {
      name: "no weights",
      words: (folder) => {
        const path = model(folder);
        rmSync(join(path, "model.safetensors"));
        return ["inspect", path];
      },
      says: "<folder>: there is no model.safetensors and no model.safetensors.index.json",
      hint: "<what to do>",
      cause: "only the config was downloaded, or the file has another name",
    },
    {
      name: "weights in a pickle",
      words: (folder) => {
        const path = model(folder);
        renameSync(join(path, "model.safetensors"), join(path, "pytorch_model.bin"));
        return ["inspect", path];
      },
      says: "<folder>: its weights are in <file>, a pickle, which is never opened: it can run any program",
      hint: "where you trust it, open it in transformers and save it with save_pretrained(FOLDER, safe_serialization=True)",
      cause: "an old checkpoint",
    },
    {
      name: "a shard that is missing",
      words: (folder) => {
        const { path } = sharded(folder);
        rmSync(join(path, "model-00002-of-00002.safetensors"));
        return ["inspect", path];
      },
      says: "<file>: shard <file> is missing",
      hint: "get the missing file",
      cause: "a download that broke off",
    },
    {
      name: "a tensor that the index lists twice",
      words: (folder) => {
        const { path, names } = sharded(folder);
        const index = join(path, "model.safetensors.index.json");
        const twice = `${JSON.stringify(names[0])}:"model-00002-of-00002.safetensors"`;
        writeFileSync(index, readFileSync(index, "utf8").replace('"weight_map":{', `"weight_map":{${twice},`));
        return ["inspect", path];
      },
      says: "<file>: a key is given twice in one object",
      hint: "get the file anew",
      cause: "a hostile index, or one put together by hand",
    },
    {
      name: "a shard under two names",
      words: (folder) => {
        const { path, index, names } = sharded(folder);
        writeFileSync(join(path, "again.safetensors"), readFileSync(join(path, index[names[0]])));
        writeIndex(path, { ...index, [names[0]]: "again.safetensors" });
        return ["inspect", path];
      },
      says: "<file>: tensor <name> is in shard <file>, but the index says it is in <file>",
      hint: "index and shards belong to different models: get them anew",
      cause: "shards of two downloads in one folder",
    },
    {
      name: "a tensor that the index does not list",
      words: (folder) => {
        const { path, index, names } = sharded(folder);
        delete index[names[0]];
        writeIndex(path, index);
        return ["inspect", path];
      },
      says: "<file>: tensor <name> is in shard <file>, but the index does not list it",
      hint: "index and shards belong to different models: get them anew",
      cause: "an index of another model",
    },
    {
      name: "a tensor that its shard does not hold",
      words: (folder) => {
        const { path, index } = sharded(folder);
        writeIndex(path, { ...index, "bert.extra": "model-00001-of-00002.safetensors" });
        return ["inspect", path];
      },
      says: "<file>: tensor <name> is not in shard <file>, where the index says it is",
      hint: "index and shards belong to different models: get them anew",
      cause: "an index of another model",
    },
    {
      name: "a path that leads out of the folder",
      words: (folder) => {
        const { path, index, names } = sharded(folder);
        writeFileSync(join(folder, "secret.safetensors"), fileOf("{}", 0));
        writeIndex(path, { ...index, [names[0]]: "../secret.safetensors" });
        return ["inspect", path];
      },
      says: "<file>: tensor <name> is said to be in <file>, which is no safetensors file of this folder",
      hint: "get the index anew",
      cause: "a hostile index",
    },
    {
      name: "an index without a map",
      words: (folder) => {
        const { path } = sharded(folder);
        writeFileSync(join(path, "model.safetensors.index.json"), "{}");
        return ["inspect", path];
      },
      says: "<file>: it has no weight_map",
      hint: "save the model again",
      cause: "a damaged index",
    },
    {
      name: "a link that leads out of the folder",
      words: (folder) => {
        const path = model(folder);
        renameSync(join(path, "model.safetensors"), join(folder, "elsewhere"));
        symlinkSync("../elsewhere", join(path, "model.safetensors"));
        return ["inspect", path];
      },
      says: "<file>: it is a link that leads out of its folder, to <file>",
      hint: "put the file itself there",
      cause: "a hostile archive, or a folder of links that is not the Hub's cache (whose links are followed)",
    },
    {
      name: "a tokenizer's file that is a link out of the folder",
      words: (folder) => {
        const path = model(folder);
        writeFileSync(join(folder, "secret"), "not to be copied");
        symlinkSync("../secret", join(path, "vocab.txt"));
        return ["grow", path, join(folder, "out"), "--method", "fpi", "--layers", "4"];
      },
      says: "<file>: it is a link that leads out of its folder, to <file>",
      hint: "put the file itself there",
      cause: "a hostile archive: what the link leads to would be copied into what is written",
    },
    {
      name: "links in a circle",
      words: (folder) => {
        const path = model(folder);
        rmSync(join(path, "config.json"));
        symlinkSync("config.json", join(path, "config.json"));
        return ["inspect", path];
      },
      says: "<file>: symbolic links that lead in a circle",
      hint: "mend the links",
      cause: "a folder that was moved or packed wrongly",
    },
    {
      name: "a link that leads nowhere",
      words: (folder) => {
        const path = model(folder);
        rmSync(join(path, "config.json"));
        symlinkSync("gone.json", join(path, "config.json"));
        return ["inspect", path];
      },
      says: "<file>: there is no such file or folder",
      hint: "check the path",
      cause: "a path with a typing error, or a link whose target was removed",
    },
    {
      name: "a folder in place of the weights",
      words: (folder) => {
        const path = model(folder);
        rmSync(join(path, "model.safetensors"));
        mkdirSync(join(path, "model.safetensors"));
        return ["inspect", path];
      },
      says: "<file>: not a regular file",
      hint: "name a safetensors file",
      cause: "a folder, a pipe or a device under a file's name",
    },
  ],
};
