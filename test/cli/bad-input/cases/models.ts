/** Configs that no table describes, weights that do not belong to them, and targets that nothing grows to. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixture } from "../../../support.ts";
import { type Case, change, type Entry, type Group, model, putTogether, takeApart } from "../support.ts";

/** A fixture whose config.json has other values. */
function config(name: string, kind: string, keys: object, says: string, hint: string, cause: string): Case {
  const words = (folder: string) => {
    const path = model(folder, kind);
    change(join(path, "config.json"), { ...keys });
    return ["inspect", path];
  };
  return { name, words, says: `<file>: ${says}`, hint, cause };
}

const known =
  "known are gelu, gelu_python, gelu_new, gelu_fast, gelu_accurate, gelu_pytorch_tanh, gelu_python_tanh, relu, silu, swish";

export const configs: Group = {
  title: "config.json",
  cases: [
    {
      name: "a config that is no JSON",
      words: (folder) => {
        const path = model(folder);
        writeFileSync(join(path, "config.json"), "{'model_type': 'bert'}");
        return ["inspect", path];
      },
      says: "<file>: not valid JSON (<reason>)",
      hint: "mend it or get the file anew",
      cause: "a file written by hand, or a page of an error saved in its place",
    },
    {
      name: "a config that is a list",
      words: (folder) => {
        const path = model(folder);
        writeFileSync(join(path, "config.json"), "[]");
        return ["inspect", path];
      },
      says: "<file>: not a JSON object",
      hint: "it should start with { and end with }",
      cause: "another file under this name",
    },
    {
      name: "a config nested too deep",
      words: (folder) => {
        const path = model(folder);
        writeFileSync(join(path, "config.json"), `{"a":${"[".repeat(1e6)}`);
        return ["inspect", path];
      },
      says: "<file>: JSON nested deeper than <n> levels",
      hint: "no file of this kind does that: get it anew",
      cause: "a hostile file",
    },
    {
      name: "a config that is a folder",
      words: (folder) => {
        const path = model(folder);
        rmSync(join(path, "config.json"));
        mkdirSync(join(path, "config.json"));
        return ["inspect", path];
      },
      says: "<file>: not a regular file",
      hint: "name a JSON file",
      cause: "a folder, a pipe or a device under a file's name",
    },
    config(
      "no kind of model",
      "bert-tiny",
      { model_type: undefined },
      "`model_type` is missing",
      "set it to one of bert, roberta, xlm-roberta, distilbert, modernbert, gpt2, llama, mistral, qwen2, qwen3",
      "a config written by hand",
    ),
    config(
      "an unknown kind of model",
      "bert-tiny",
      { model_type: "t5" },
      "`model_type` is <value>, which is not supported",
      "<what to do>",
      "an architecture that bert2bert has no table for",
    ),
    {
      ...config(
        "a class for a task, of a model that is to be drawn",
        "bert-tiny",
        { architectures: ["BertForQuestionAnswering"] },
        "`architectures` names <value>, a class that is not supported",
        "known are <classes>",
        "a config of a fine-tuned model given to `init`",
      ),
      words: (folder) => {
        writeFileSync(
          join(folder, "config.json"),
          JSON.stringify({ model_type: "bert", architectures: ["BertForQuestionAnswering"] }),
        );
        return ["init", join(folder, "config.json"), join(folder, "out")];
      },
    },
    config(
      "an unsupported activation",
      "bert-tiny",
      { hidden_act: "quick_gelu" },
      "`hidden_act` is <value>, an activation that is not supported",
      known,
      "a model with another activation",
    ),
    config(
      "an unsupported activation of GPT-2",
      "gpt2-tiny",
      { activation_function: "quick_gelu_or_so" },
      "`activation_function` is <value>, an activation that is not supported",
      known,
      "a model with another activation",
    ),
    config(
      "relative positions",
      "bert-tiny",
      { position_embedding_type: "relative_key" },
      "`position_embedding_type` is <value>: relative positions are not supported",
      'only "absolute" is; use another checkpoint',
      "a BERT with relative positions",
    ),
    config(
      "a BERT that decodes",
      "bert-tiny",
      { is_decoder: true },
      "`is_decoder` is true: a BERT that decodes is not supported",
      "only false is; use another checkpoint",
      "a BERT made into a decoder",
    ),
    config(
      "cross-attention",
      "gpt2-tiny",
      { add_cross_attention: true },
      "`add_cross_attention` is true: cross-attention is not supported",
      "only false is; use another checkpoint",
      "the decoder of an encoder-decoder model",
    ),
    config(
      "attention scaled by the layer",
      "gpt2-tiny",
      { scale_attn_by_inverse_layer_idx: true },
      "`scale_attn_by_inverse_layer_idx` is true: attention scaled by the layer's number is not supported",
      "only false is; use another checkpoint",
      "a GPT-2 of Mistral's kind",
    ),
    config(
      "heads that do not divide the hidden size",
      "bert-tiny",
      { num_attention_heads: 7 },
      "`hidden_size` is <n>, which <n> heads do not divide",
      "make it a multiple of `num_attention_heads`",
      "a config written by hand",
    ),
    config(
      "a size of text",
      "bert-tiny",
      { hidden_size: "32" },
      "`hidden_size` is <value>, not a whole number of at least <n>",
      "set `hidden_size` to one",
      "a config written by hand",
    ),
    config(
      "an eps below 0",
      "bert-tiny",
      { layer_norm_eps: -1 },
      "`layer_norm_eps` is <value>, not a number above 0",
      "set `layer_norm_eps` to one",
      "a config written by hand",
    ),
    config(
      "a dropout of 1",
      "bert-tiny",
      { hidden_dropout_prob: 1 },
      "`hidden_dropout_prob` is <value>, not a rate from 0 to below 1",
      "set `hidden_dropout_prob` to one, 0 for none",
      "a config written by hand",
    ),
    config(
      "a billion layers",
      "bert-tiny",
      { num_hidden_layers: 1e9 },
      "`num_hidden_layers` is <n>",
      "<n> is the most that is supported",
      "a hostile config",
    ),
  ],
};

/** bert-tiny with other tensors. */
function tensors(folder: string, rewrite: (header: Record<string, Entry>, data: Uint8Array) => Uint8Array): string[] {
  const path = model(folder);
  const weights = join(path, "model.safetensors");
  const { header, data } = takeApart(new Uint8Array(readFileSync(weights)));
  writeFileSync(weights, rewrite(header, data));
  return ["inspect", path];
}

const word = "bert.embeddings.word_embeddings.weight";

export const disagreements: Group = {
  title: "Config and weights",
  cases: [
    config(
      "fewer layers than the weights",
      "bert-tiny",
      { num_hidden_layers: 1 },
      "tensor <name> is none that a <kind> of <n> layers has",
      "check that config.json belongs to these weights; drop tensors of heads of your own in transformers",
      "a config of another model, or a head that bert2bert does not know",
    ),
    {
      ...config(
        "more layers than the weights",
        "bert-tiny",
        { num_hidden_layers: 9 },
        "",
        "check that config.json belongs to these weights, or get them anew",
        "a config of another model",
      ),
      says: "<folder>: <names> and <n> more missing",
    },
    config(
      "another width than the weights",
      "bert-tiny",
      { hidden_size: 96 },
      "tensor <name> is [<shape>], by config.json it should be [<shape>]",
      "check that config.json belongs to these weights",
      "a config of another model",
    ),
    config(
      "another vocabulary than the weights",
      "bert-tiny",
      { vocab_size: 7 },
      "tensor <name> is [<shape>], by config.json it should be [<shape>]",
      "check that config.json belongs to these weights",
      "a config of another model",
    ),
    {
      name: "a tensor that is missing",
      words: (folder) =>
        tensors(folder, (header, data) => {
          // The last tensor of the file is left out, so that no hole stays.
          const last = Object.keys(header).reduce((a, b) =>
            (header[a].data_offsets?.[1] ?? 0) > (header[b].data_offsets?.[1] ?? 0) ? a : b,
          );
          const start = header[last].data_offsets[0];
          delete header[last];
          return putTogether(header, data.subarray(0, start));
        }),
      says: "<folder>: <name> missing",
      hint: "check that config.json belongs to these weights, or get them anew",
      cause: "a model saved without one of its parts",
    },
    {
      name: "a tensor that nobody knows",
      words: (folder) =>
        tensors(folder, ({ [word]: known, ...rest }, data) =>
          putTogether(
            {
              ...rest,
              [word]: known,
              "value_head.weight": { dtype: "F32", shape: [1], data_offsets: [data.length, data.length + 4] },
            },
            Buffer.concat([data, new Uint8Array(4)]),
          ),
        ),
      says: "<file>: tensor <name> is none that a <kind> of <n> layers has",
      hint: "check that config.json belongs to these weights; drop tensors of heads of your own in transformers",
      cause: "a config of another model, or a head that bert2bert does not know",
    },
    {
      name: "a parameter in two spellings",
      words: (folder) =>
        tensors(folder, (header, data) => {
          const shape = header["bert.embeddings.LayerNorm.weight"].shape;
          const bytes = 4 * shape[0];
          const again = { dtype: "F32", shape, data_offsets: [data.length, data.length + bytes] };
          return putTogether(
            { ...header, "bert.embeddings.LayerNorm.gamma": again },
            Buffer.concat([data, new Uint8Array(bytes)]),
          );
        }),
      says: "<file>: <name> and <name> are two spellings of one parameter",
      hint: "open the model in transformers and save it again",
      cause: "two generations of names in one file",
    },
    {
      name: "weights stored as integers",
      words: (folder) =>
        tensors(folder, (header, data) => putTogether({ ...header, [word]: { ...header[word], dtype: "I32" } }, data)),
      says: "<file>: tensor <name> is stored as <dtype>",
      hint: "save the model in float32, float16 or bfloat16",
      cause: "a quantised model",
    },
    {
      name: "a decoder that is not the embeddings",
      words: (folder) => {
        const [, path] = tensors(folder, (header, data) => {
          const [start, end] = header[word].data_offsets;
          const copy = data.slice(start, end);
          copy[1] ^= 1;
          const decoder = { ...header[word], data_offsets: [data.length, data.length + copy.length] };
          return putTogether({ ...header, "cls.predictions.decoder.weight": decoder }, Buffer.concat([data, copy]));
        });
        return ["grow", path, join(folder, "out"), "--method", "fpi", "--layers", "4"];
      },
      says: "<file>: tensor <name> differs from <name>, which it should repeat",
      hint: "if its output matrix is its own, say `tie_word_embeddings: false` in config.json; else save it again in transformers",
      cause: "a model trained with an output matrix of its own",
    },
  ],
};

/** Growing a fixture. */
function grow(
  name: string,
  words: readonly string[],
  says: string,
  hint: string,
  cause: string,
  kind = "bert-tiny",
): Case {
  return { name, words: (folder) => ["grow", fixture(kind), join(folder, "out"), ...words], says, hint, cause };
}

/** Growing bert-tiny to a config. */
function growTo(name: string, keys: object, says: string, hint: string, cause: string): Case {
  const words = (folder: string) => {
    const target = join(folder, "target.json");
    writeFileSync(target, readFileSync(fixture("bert-tiny", "config.json")));
    change(target, { ...keys });
    return ["grow", fixture("bert-tiny"), join(folder, "out"), "--method", "fpi", "--to", target];
  };
  return { name, words, says, hint, cause };
}

const agree = "make the target's config agree with the source's in all but the sizes";
const shrinks = (size: string) => `target: ${size} would shrink from <n> to <n>`;
const grows = "give at least the source's <n>: models only grow";
const wholeHeads = "heads are grown whole: <what would do>";

export const growth: Group = {
  title: "grow",
  cases: [
    grow(
      "no method",
      ["--layers", "4"],
      "--method: no method is named",
      "give one of <methods>; direct has saved most so far (BERT and GPT-2 were measured), fpi promises most (`bert2bert grow --help` explains them)",
      "`--method` is left out: there is no default, the methods promise different things",
    ),
    grow(
      "an unknown method",
      ["--layers", "4", "--method", "aky"],
      "--method: there is no method `<name>`",
      "<what to do>",
      "a typing error",
    ),
    grow(
      "an unknown depth rule",
      ["--layers", "4", "--method", "fpi", "--depth", "stacked"],
      "--depth: there is no depth rule `<name>`",
      "<what to do>",
      "a typing error",
    ),
    {
      name: "advice for no number of tokens",
      words: () => ["advise", fixture("bert-tiny"), "--layers", "4", "--tokens", "many"],
      says: "--tokens: `<name>` is not a whole number above 0",
      hint: "give one, such as 20M",
      cause: "a typing error",
    },
    grow(
      "a factor on copied layers",
      ["--layers", "4", "--method", "fpi", "--depth", "stack:0.1"],
      "--depth: `<name>` takes no factor",
      "write `<name>` alone",
      "a factor is for layers that are drawn (`random:0.1`)",
    ),
    grow(
      "a factor that is no number",
      ["--layers", "4", "--method", "fpi", "--depth", "random:small"],
      "--depth: `<name>` is not a number",
      "give one, such as random:0.1",
      "a typing error",
    ),
    grow(
      "more than two copies of the layers",
      ["--layers", "9", "--method", "fpi", "--depth", "overlap"],
      "--depth overlap: two copies of <n> layers are <n> at most, not <n>",
      "take fewer layers, another rule (stack, middle), or grow twice",
      "two copies that overlap are no deeper than two that do not",
    ),
    grow(
      "a stream that is seen by LayerNorms",
      ["--hidden", "128", "--method", "isometric"],
      "--method isometric: <name> of a <kind> makes more of the stream than its length, which is all that stays",
      "take lemon or fpi, or leave the hidden size as it is",
      "isometric is for models whose norms are RMSNorms",
    ),
    grow(
      "weights shrunk to more than they are",
      ["--ffn", "300", "--method", "direct", "--shrink", "2"],
      "--shrink: <n> would not shrink weights",
      "give a number from 0 to 1, such as <n>",
      "it is what is left of the source's weights",
    ),
    grow(
      "no target",
      ["--method", "fpi"],
      "grow: no target size is given",
      "give --to CONFIG.json, or some of --hidden --heads --kv-heads --ffn --layers --vocab --positions",
      "nothing says how large the result is to be",
    ),
    grow(
      "positions by a rule that is none",
      ["--method", "fpi", "--positions", "99", "--positions-by", "tile"],
      "--positions-by: positions can't be made by `<name>`",
      "known are extend, interpolate, base",
      "a typing error",
    ),
    grow(
      "a rule for positions and none of them",
      ["--method", "fpi", "--hidden", "128", "--positions-by", "interpolate"],
      "--positions-by: it says how there come to be more positions",
      "add --positions N",
      "how many there are to be is missing",
    ),
    grow(
      "another base for a table of positions",
      ["--method", "fpi", "--positions", "99", "--positions-by", "base"],
      "--positions-by: a <architecture> has a table of positions, which has no base",
      "take extend or interpolate",
      "only rotary positions have one",
    ),
    grow(
      "a head that is there already",
      ["--method", "fpi", "--add-head"],
      "<folder>: it has a language-model head already",
      "leave add-head out",
      "`--add-head` is for encoders, classifiers and other models without that head",
    ),
    grow(
      "a target given twice",
      ["--method", "fpi", "--to", "x.json", "--layers", "4"],
      "--to: the target is given twice",
      "give a config, or sizes, not both",
      "`--to` and sizes exclude each other",
    ),
    grow(
      "a narrower target",
      ["--method", "fpi", "--ffn", "8"],
      shrinks("ffn"),
      grows,
      "a source that is larger than the target in one of its sizes",
    ),
    grow(
      "a shallower target",
      ["--method", "fpi", "--layers", "1"],
      shrinks("layers"),
      grows,
      "a source that is larger than the target in one of its sizes",
    ),
    growTo(
      "a narrower target's config",
      { hidden_size: 16, num_attention_heads: 2, intermediate_size: 64 },
      shrinks("hidden"),
      grows,
      "a source that is larger than the target in one of its sizes",
    ),
    grow(
      "a hidden size that cuts heads",
      ["--method", "fpi", "--hidden", "90"],
      "--hidden: <n> is not a whole number of heads of <n>, the source's",
      "heads are grown whole: take <n> or <n>",
      "heads keep their width when a model grows",
    ),
    growTo(
      "heads of another width",
      { hidden_size: 96, num_attention_heads: 4 },
      "target: <n> heads of a hidden size of <n> are <n> wide, the source's are <n>",
      wholeHeads,
      "heads keep their width when a model grows",
    ),
    growTo(
      "another vocabulary",
      { vocab_size: 5000 },
      "target: the target's vocabulary is <n>, the source's <n>",
      agree,
      "growing changes no vocabulary",
    ),
    growTo(
      "another number of positions",
      { max_position_embeddings: 4096 },
      "target: the target's number of positions is <n>, the source's <n>",
      agree,
      "growing changes no positions",
    ),
    growTo(
      "another activation",
      { hidden_act: "relu" },
      "target: the target's activation is <name>, the source's <name>",
      agree,
      "the target's config says another network, not a larger one",
    ),
    growTo(
      "another eps",
      { layer_norm_eps: 1e-3 },
      "target: the target's LayerNorm eps is <n>, the source's <n>",
      agree,
      "the target's config says another network, not a larger one",
    ),
    growTo(
      "a target of another kind",
      { model_type: "roberta" },
      "<file>: `model_type` is <value>, the source is <kind>",
      "a model grows into a larger one of its own kind: give a config of that kind",
      "a BERT grows into a BERT",
    ),
    grow(
      "an unknown format",
      ["--method", "fpi", "--layers", "4", "--dtype", "F8"],
      "--dtype: there is no format `<name>`",
      "<what to do>",
      "a typing error",
    ),
    grow(
      "a size that is none",
      ["--method", "fpi", "--layers", "4", "--max-shard", "big"],
      "--max-shard: `<value>` is no size",
      "write it as 5GB, 200MB or 1.5GiB",
      "a typing error",
    ),
    grow(
      "a number that is none",
      ["--method", "fpi", "--layers", "four"],
      "--layers: `<value>` is no whole number of at least <n>",
      "give one",
      "a typing error",
    ),
    grow(
      "a size that no file can hold",
      ["--method", "fpi", "--hidden", "100000000"],
      "target config: <n> parameters, more than a file can hold",
      "lower its sizes",
      "a digit too many; said at once, before memory is taken for it",
    ),
    {
      name: "more than the disk holds",
      words: (folder) => {
        const config = join(folder, "config.json");
        writeFileSync(config, readFileSync(fixture("bert-tiny", "config.json")));
        change(config, {
          hidden_size: 2 ** 20,
          num_attention_heads: 1024,
          intermediate_size: 2 ** 22,
          num_hidden_layers: 96,
        });
        return ["init", config, join(folder, "out")];
      },
      says: "<folder>: <n> GB are to be written, <n> GB are free",
      hint: "free some space or choose another place",
      cause: "said before anything is written; a disk that fills up later is said as `the disk is full`",
    },
    {
      name: "an output folder that is not empty",
      words: (folder) => {
        mkdirSync(join(folder, "out"));
        writeFileSync(join(folder, "out", "precious"), "keep me");
        return ["grow", fixture("bert-tiny"), join(folder, "out"), "--method", "fpi", "--layers", "4"];
      },
      says: "<folder>: the folder exists and is not empty",
      hint: "name a new folder, or remove this one",
      cause: "nothing is overwritten",
    },
    {
      name: "an output that is a file",
      words: (folder) => {
        writeFileSync(join(folder, "out"), "keep me");
        return ["grow", fixture("bert-tiny"), join(folder, "out"), "--method", "fpi", "--layers", "4"];
      },
      says: "<file>: it exists and is not a folder",
      hint: "name a new folder, or remove what is there",
      cause: "nothing is overwritten",
    },
    {
      name: "an optimizer's state of another model",
      words: (folder) => {
        const path = model(folder);
        const header = Object.fromEntries(
          ["m", "v", "steps"].map((part, i) => [
            `${part}/x`,
            { dtype: "F32", shape: [], data_offsets: [4 * i, 4 * i + 4] },
          ]),
        );
        writeFileSync(join(path, "optimizer.safetensors"), putTogether(header, new Uint8Array(12)));
        return ["grow", path, join(folder, "out"), "--method", "fpi", "--layers", "4"];
      },
      says: "<file>: it holds nothing for <name>",
      hint: "use the state that belongs to the checkpoint, or --moments drop",
      cause: "optimizer.safetensors was copied from another checkpoint",
    },
  ],
};
