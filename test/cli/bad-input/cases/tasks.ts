/** Tasks, samples and gaps: models that can't do them, files that are none, words that mean nothing. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createModel } from "../../../../src/model/create.ts";
import type { Json } from "../../../../src/util/json.ts";
import { fixture } from "../../../support.ts";
import type { Case, Group } from "../support.ts";

const sizes = {
  vocab_size: 2000,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 16,
};

/** A small model with a tokenizer. @returns its folder */
async function small(folder: string, kind: "gpt2" | "bert"): Promise<string> {
  const path = join(folder, kind);
  const config: Json =
    kind === "bert"
      ? { model_type: "bert", architectures: ["BertForMaskedLM"], ...sizes, max_position_embeddings: 16 }
      : { model_type: "gpt2", vocab_size: 1200, n_positions: 16, n_embd: 16, n_layer: 1, n_head: 2, eos_token_id: 0 };
  await createModel(config, "config.json", path, { seed: 0 });
  cpSync(fixture("tokenizers", kind === "bert" ? "uncased" : "gpt2"), path, { recursive: true });
  return path;
}

/** `evaluate --task NAME=FILE` of a file with these bytes. */
function task(
  name: string,
  kind: "gpt2" | "bert",
  which: string,
  bytes: string,
  [says, hint]: readonly [string, string],
  cause: string,
): Case {
  const words = async (folder: string) => {
    const path = join(folder, "file");
    writeFileSync(path, bytes);
    return ["evaluate", await small(folder, kind), "--task", `${which}=${path}`, "--items", join(folder, "items")];
  };
  return { name, words, says, hint, cause };
}

function words(
  name: string,
  kind: "gpt2" | "bert",
  more: readonly string[],
  [says, hint]: readonly [string, string],
  cause: string,
): Case {
  const [command, ...rest] = more;
  return { name, words: async (folder) => [command, await small(folder, kind), ...rest], says, hint, cause };
}

const long =
  "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen";

export const tasks: Group = {
  title: "Tasks without training, samples and gaps",
  cases: [
    words(
      "nothing to evaluate on",
      "gpt2",
      ["evaluate"],
      [
        "evaluate: nothing to evaluate on is named",
        "give --data, a folder that `bert2bert prepare` wrote, or --task NAME=PATH",
      ],
      "neither `--data` nor `--task`",
    ),
    words(
      "data and a task",
      "gpt2",
      ["evaluate", "--data", "x", "--task", "blimp=y"],
      ["evaluate: both --data and --task", "give one of them at a time"],
      "both were given",
    ),
    words(
      "an unknown task",
      "gpt2",
      ["evaluate", "--task", "blimb=x"],
      ["--task: there is no task `<name>`", "did you mean `blimp`?"],
      "a mistyped task",
    ),
    words(
      "a task without a file",
      "gpt2",
      ["evaluate", "--task", "blimp"],
      ["--task: `<words>` names no file", "write blimp=PATH"],
      "`--task NAME` without `=PATH`",
    ),
    words(
      "a task twice",
      "gpt2",
      ["evaluate", "--task", "blimp=x", "--task", "blimp=y"],
      ["--task: blimp is given twice", "name each task once"],
      "a task was named twice",
    ),
    words(
      "a task's file that is not there",
      "gpt2",
      ["evaluate", "--task", "blimp=nowhere"],
      ["nowhere: there is no such file or folder", "check the path"],
      "a mistyped path",
    ),
    words(
      "a window that is too long",
      "gpt2",
      ["evaluate", "--task", "perplexity=x", "--window", "17"],
      ["--window: a window of 17 tokens, and the model takes 16", "give less"],
      "`--window` above the model's positions",
    ),
    words(
      "a stride above the window",
      "gpt2",
      ["evaluate", "--task", "perplexity=x", "--window", "8", "--stride", "9"],
      ["--stride: 9 is more than the window's 8", "give less"],
      "tokens would be left out",
    ),
    {
      name: "a model without a head",
      words: async (folder) => {
        const path = join(folder, "bare");
        await createModel({ model_type: "bert", architectures: ["BertModel"], ...sizes }, "config.json", path, {
          seed: 0,
        });
        return ["evaluate", path, "--task", "blimp=x"];
      },
      says: "<folder>: the model has no language-model head",
      hint: "draw one with `bert2bert grow … --add-head`, or with `add-head: true` beside `from` in a run",
      cause: "a bare model has no probabilities",
    },
    task(
      "a masked model and LAMBADA",
      "bert",
      "lambada",
      '{"text": "a b"}\n',
      [
        "<folder>: the model is a masked one, and lambada is for causal models: the last word has as many tokens as a masked model is told, which gives it away",
        "leave it out; blimp, minimal-pairs and multiple-choice go with both",
      ],
      "lambada or perplexity of a BERT",
    ),
    task(
      "a file without examples",
      "gpt2",
      "blimp",
      "\n",
      ["<file>: no examples in it", "name JSON Lines: one JSON object a line"],
      "an empty file",
    ),
    task(
      "a pair that is none",
      "gpt2",
      "minimal-pairs",
      '{"good": "a"}\n',
      ["<file>:<n>: no `sentence_bad` (found: good)", "name it `sentence_bad` or `bad`"],
      "a key is missing",
    ),
    task(
      "a sentence that is no text",
      "gpt2",
      "minimal-pairs",
      '{"good": 1, "bad": "a"}\n',
      ["<file>:<n>: `good` is not a text", "write it as a string"],
      "a number where a sentence should be",
    ),
    task(
      "a line that is no object",
      "gpt2",
      "blimp",
      "[1]\n",
      ["<file>:<n>: not a JSON object", "JSON Lines hold one JSON object a line"],
      "JSON that is not JSON Lines",
    ),
    task(
      "choices that are none",
      "gpt2",
      "multiple-choice",
      '{"choices": "a", "label": 0}\n',
      ["<file>:<n>: `choices` is not a list of texts, two at least", 'write "choices": ["…", "…"]'],
      "choices of another form",
    ),
    task(
      "a label of no choice",
      "gpt2",
      "multiple-choice",
      '{"choices": ["a", "b"], "label": 2}\n',
      ["<file>:<n>: `label` names none of the choices", "give the right choice's number, 0 to 1, or its text"],
      "labels counted from 1",
    ),
    task(
      "a passage of one word",
      "gpt2",
      "lambada",
      '{"text": "word"}\n',
      ["<file>:<n>: a single word", "give a passage whose last word is to be found"],
      "a file of words",
    ),
    task(
      "a sentence longer than the model takes",
      "gpt2",
      "minimal-pairs",
      `{"good": "${long}", "bad": "a"}\n`,
      [
        "<file>:<n>: a text of <n> tokens, and the model takes 16",
        "leave it out: what stands before a text is cut where need be, the text is not",
      ],
      "its score would not be of the sentence",
    ),
    task(
      "a sentence without a token",
      "bert",
      "minimal-pairs",
      '{"good": "", "bad": "a"}\n',
      ["<file>:<n>: a text without any token", "leave it out"],
      "an empty sentence",
    ),
    task(
      "a damaged archive",
      "gpt2",
      "blimp",
      "PK\u0003\u0004",
      ["<file>: a damaged zip archive (it has no directory)", "get it anew, or unpack it"],
      "a download that was cut off",
    ),
    task(
      "no text",
      "gpt2",
      "perplexity",
      "\n\n",
      ["<file>: it holds no text", "name a text file with something in it"],
      "an empty file",
    ),
    words(
      "a sample of a masked model",
      "bert",
      ["sample", "a"],
      ["<folder>: the model is a masked one", "`bert2bert fill-mask` is for masked models"],
      "a BERT does not go on with a text",
    ),
    words(
      "gaps for a causal model",
      "gpt2",
      ["fill-mask", "a"],
      ["<folder>: the model is causal", "`bert2bert sample` is for causal models"],
      "a GPT-2 has no mask",
    ),
    words(
      "a text without a gap",
      "bert",
      ["fill-mask", "a"],
      ["text 1: it has no mask", "write [MASK] for each gap"],
      "the mask token is missing",
    ),
    words(
      "a text with a gap that is too long",
      "bert",
      ["fill-mask", `[MASK] ${long}`],
      ["text 1: <n> tokens, and the model takes 14", "give a shorter text"],
      "longer than the model's positions",
    ),
    words(
      "a prompt that is too long",
      "gpt2",
      ["sample", long],
      ["prompt 1: a prompt of <n> tokens, and the model takes 16, the next one's included", "give a shorter one"],
      "longer than the model's positions",
    ),
    words(
      "a share that is none",
      "gpt2",
      ["sample", "a", "--top-p", "1.5"],
      ["--top-p: `1.5` is no number from 0 to 1", "give one"],
      "`--top-p` above 1",
    ),
    {
      name: "prompts twice",
      words: async (folder) => {
        mkdirSync(join(folder, "x"));
        return ["sample", join(folder, "x"), "a", "--prompts", "file"];
      },
      says: "sample: both a file of prompts and prompts",
      hint: "give one of them",
      cause: "both were given",
    },
  ],
};

/** `finetune` on a table with these lines, and a TASK.yaml with other ones. */
function finetune(
  name: string,
  lines: string,
  keys: Readonly<Record<string, unknown>>,
  [says, hint]: readonly [string, string],
  cause: string,
): Case {
  const words = async (folder: string) => {
    await small(folder, "bert");
    writeFileSync(join(folder, "table"), lines);
    const all = {
      ...{ out: "out", model: { from: "bert" }, task: "classification", epochs: 1, length: 8 },
      data: { train: "table", validation: "table", text: 1, label: 2 },
      ...keys,
    };
    const path = join(folder, "task.yaml");
    writeFileSync(path, JSON.stringify(all));
    return ["finetune", path];
  };
  return { name, words, says, hint, cause };
}

const data = (keys: object) => ({ data: { train: "table", validation: "table", text: 1, label: 2, ...keys } });

export const tuning: Group = {
  title: "TASK.yaml",
  cases: [
    finetune(
      "an unknown key",
      "a\t1\n",
      { epoch: 3 },
      ["<file>:<n>: `epoch` is not a key", "did you mean `epochs`?"],
      "a mistyped key",
    ),
    finetune(
      "a metric of another task",
      "a\t1\n",
      { metric: "pearson" },
      ["<file>:<n>: classification has no metric `pearson`", "take one of accuracy, f1, matthews"],
      "a metric that the task has not",
    ),
    finetune(
      "a column that is not there",
      "a\tb\nx\t1\n",
      data({ text: "sentence", label: "b" }),
      ["<file>:1: no column `sentence` (found: a, b)", "name its columns in `data.text` and `data.label`"],
      "a column goes by another name",
    ),
    finetune(
      "a line with too few columns",
      "a\t1\nb\n",
      {},
      ["<file>:2: 1 columns, and the 2. is wanted", "mend the line, or name other columns in `data`"],
      "a damaged table",
    ),
    finetune(
      "an empty label",
      "a\t1\nb\t\n",
      {},
      ["<file>:2: its label is empty", "give it one, or leave it out"],
      "an example that nobody has labelled",
    ),
    finetune(
      "a label that is null",
      '{"a": "b", "c": null}\n',
      data({ text: "a", label: "c" }),
      ["<file>:1: no column `c` (found: a)", "name its columns in `data.text` and `data.label`"],
      "an example that nobody has labelled",
    ),
    finetune(
      "columns by name without a header",
      "a\t1\n",
      data({ text: "a", label: "b", header: false }),
      ["<file>: columns go by name, and the file has no header", "give their numbers, from 1"],
      "`header: false` with names",
    ),
    finetune(
      "a quote that does not end",
      'a,"1\n',
      {},
      ["<file>:1: a quote that does not end, or stands within a cell", 'double quotes within a quoted cell ("")'],
      "a damaged CSV",
    ),
    finetune("no examples", "\n", {}, ["<file>: it holds no examples", "give a file with some"], "an empty file"),
    finetune(
      "a value that is none",
      "a\tb\n",
      { task: "regression" },
      ["<file>:1: `b` is no number", "a regression's labels are numbers"],
      "classes given to a regression",
    ),
    finetune(
      "no column of labels",
      "a\t1\n",
      { data: { train: "table", validation: "table", text: 1 } },
      ["<file>:<n>: `data.label` is missing", "name a column, or from 1 give its number"],
      "a key is missing",
    ),
    finetune(
      "a column of lists",
      '{"a": ["b"], "c": 1}\n',
      data({ text: "a", label: "c" }),
      ["<file>:1: column `a` holds no text", "write it as a string or a number"],
      "words given to a classification",
    ),
    finetune(
      "words and labels that do not pair",
      '{"tokens": ["a", "b"], "ner_tags": ["O"]}\n',
      { task: "token-classification", data: { train: "table", validation: "table" } },
      ["<file>:1: 2 words and 1 labels", "give a list of words, and one of as many labels"],
      "a label is missing",
    ),
    finetune(
      "a word a line, by name",
      "a O\n",
      { task: "token-classification", data: { train: "table", validation: "table" } },
      [
        "<file>: columns go by name, and a file of a word a line has no header",
        "give their numbers, from 1, in `data.text` and `data.label`",
      ],
      "CoNLL's columns without numbers",
    ),
    finetune(
      "a word without its label",
      "a O\n\nb\n",
      { task: "token-classification", ...data({}) },
      ["<file>:3: 1 columns, and the 2. is wanted", "mend the line, or name other columns in `data`"],
      "a damaged line",
    ),
    finetune(
      "a damaged table of columns",
      "PAR1 and no more",
      data({ text: "a", label: "b" }),
      [
        "<file>: broken Parquet file, or of a kind that is not read (parquet file invalid (footer != PAR1))",
        "get it anew, or write its rows as JSON Lines",
      ],
      "a download that was cut off",
    ),
    finetune(
      "questions that are none",
      '{"version": "1.1", "data": [{"paragraphs": [{"context": 1}]}]}',
      { task: "question-answering", data: { train: "table", validation: "table" } },
      [
        "<file>: no questions as SQuAD has them (data.0.paragraphs.0.context: Invalid input: expected string, received number)",
        "get it anew",
      ],
      "a file of another kind",
    ),
    finetune(
      "answers that are none",
      '{"question": "a", "context": "b", "answers": "c"}\n',
      { task: "question-answering", data: { train: "table", validation: "table" } },
      [
        "<file>:1: no questions as SQuAD has them (answers: Invalid input)",
        "name the columns of question and context in `data.text`, that of the answers in `data.label`",
      ],
      "answers without their places",
    ),
    finetune(
      "a question that is too long",
      '{"question": "a b c d", "context": "b", "answers": []}\n',
      { task: "question-answering", data: { train: "table", validation: "table" } },
      [
        "<file>:1: a question of <n> tokens leaves 1 for its context, and windows share 2",
        "raise `length`, or lower `questions.stride`",
      ],
      "`length` is too small",
    ),
    {
      ...finetune(
        "a label that was not trained",
        "a\t1\n",
        data({ validation: "other" }),
        ["<file>:1: the label `2` is in no training example", "mend the label, or give training examples of it"],
        "a label of the validation part alone",
      ),
      words: async (folder) => {
        await small(folder, "bert");
        writeFileSync(join(folder, "table"), "a\t1\n");
        writeFileSync(join(folder, "other"), "a\t2\n");
        const keys = { out: "out", model: { from: "bert" }, task: "classification", ...data({ validation: "other" }) };
        writeFileSync(join(folder, "task.yaml"), JSON.stringify(keys));
        return ["finetune", join(folder, "task.yaml")];
      },
    },
    {
      ...finetune(
        "a folder that holds something else",
        "a\t1\n",
        {},
        ["<folder>: the folder is not empty and holds no task (there is <name>)", "name another folder in `out`"],
        "`out` is in use",
      ),
      words: async (folder) => {
        const words = await finetune("", "a\t1\nb\t2\n", {}, ["", ""], "").words(folder);
        mkdirSync(join(folder, "out"));
        writeFileSync(join(folder, "out", "precious"), "keep me");
        return words;
      },
    },
  ],
};
