/** Corpora, tokenizers and prepared data that can't be used. */
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { fixture } from "../../../support.ts";
import { writeData } from "../../../train/data.ts";
import { type Case, change, type Group, model, runFile, smallBert } from "../support.ts";

/** `prepare` on one file. */
function prepare(
  name: string,
  file: string,
  bytes: string | Uint8Array,
  says: string,
  hint: string,
  cause: string,
  more: readonly string[] = [],
): Case {
  const words = (folder: string) => {
    writeFileSync(join(folder, file), bytes);
    return [...prepareWords(folder, join(folder, file)), ...more];
  };
  return { name, words, says, hint, cause };
}

function prepareWords(folder: string, text: string): readonly string[] {
  const usual = ["--tokenizer", fixture("tokenizers", "uncased"), "--out", join(folder, "data"), "--length", "16"];
  return ["prepare", text, ...usual];
}

const line = "The quick brown fox jumps over the lazy dog, again and again and again.\n";
const enough = `${line}\n`.repeat(40);

export const corpora: Group = {
  title: "Text",
  cases: [
    prepare(
      "bos before documents that [CLS] stands before",
      "text.txt",
      enough,
      "--bos: its sequences begin with a classification token",
      "leave it out",
      "`--bos` with a tokenizer of BERT's kind",
      ["--bos"],
    ),
    prepare(
      "an empty corpus",
      "text.txt",
      "",
      "<file>: the corpus is empty",
      "name files that hold text",
      "an empty file",
    ),
    prepare(
      "a corpus of blank lines",
      "text.txt",
      "\n\n  \n",
      "<file>: the corpus is empty",
      "name files that hold text",
      "an empty file",
    ),
    prepare(
      "no document that fills a block",
      "text.txt",
      "One.\n\nTwo.\n",
      "<file>: its <n> tokens do not fill a sequence of <n>",
      "name more text or a shorter --length",
      "too little text",
    ),
    prepare(
      "a single document with a part held out",
      "text.txt",
      line.repeat(40),
      "<file>: it is a single document, and validation takes whole ones",
      "put blank lines between documents, or choose another --validation (0 for none)",
      "no blank lines between documents",
    ),
    prepare(
      "too little held out",
      "text.txt",
      `${enough}Short.\n`,
      "<file>: the <n> tokens held out for validation do not fill a sequence of <n>",
      "try --validation <share> (0 for none), or a shorter --length",
      "few or short documents",
      ["--length", "64"],
    ),
    prepare(
      "text that is not UTF-8",
      "text.txt",
      Buffer.from(`${line}na\xefve\n`, "latin1"),
      "<file>:<n>: not UTF-8",
      "convert the file (iconv -f LATIN1 -t UTF-8 FILE > NEW), or mend the line",
      "a file in Latin-1 or another old encoding",
    ),
    prepare(
      "UTF-16",
      "text.txt",
      Buffer.from(`\ufeff${enough}`, "utf16le"),
      "<file>: UTF-16 text, not UTF-8 text",
      "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW",
      "a file saved by some editors on Windows",
    ),
    prepare(
      "UTF-32",
      "text.txt",
      Buffer.from(Uint32Array.from(enough, (letter) => letter.charCodeAt(0)).buffer),
      "<file>: UTF-32 text, not UTF-8 text",
      "convert it: iconv -f UTF-32LE -t UTF-8 FILE > NEW",
      "a file written by a program that keeps four bytes a character",
    ),
    prepare(
      "lines that end with CR alone",
      "text.txt",
      enough.replaceAll("\n", "\r"),
      "<file>: its lines end with CR alone",
      "convert it: tr '\\r' '\\n' < FILE > NEW",
      "a text of an old Mac, or exported by a spreadsheet on one",
    ),
    prepare(
      "a table",
      "text.csv",
      "id,text\n1,one\n",
      "<file>: a table (CSV), not text",
      "make JSON Lines of it (<command>) and name the text's column with --field",
      "CSV or TSV given as text",
    ),
    prepare(
      "a field of plain text",
      "text.txt",
      enough,
      "<file>: not JSON Lines: it has no fields",
      "leave out --field, or this file",
      "--field with a file that is plain text",
      ["--field", "content"],
    ),
    prepare(
      "a binary file",
      "text.bin",
      new Uint8Array([65, 10, 66, 0, 67]),
      "<file>:<n>: a NUL byte: this is binary, not text",
      "leave this file out, or extract its text",
      "a program, a picture or weights given as text",
    ),
    prepare(
      "an archive",
      "text.zip",
      new Uint8Array([0x50, 0x4b, 3, 4, 9]),
      "<file>: <format>, not UTF-8 text",
      "<what to do>",
      "a packed or binary file given as text: zip, bzip2, PDF",
    ),
    prepare(
      "a gzip file that is cut off",
      "text.gz",
      gzipSync(enough).subarray(0, 60),
      "<file>: broken gzip file (<reason>)",
      "get it anew (`gzip -t` tests it)",
      "a download that broke off",
    ),
    prepare(
      "a zstd file that is cut off",
      "text.zst",
      readFileSync(fixture("texts", "rows.jsonl.zst")).subarray(0, 200),
      "<file>: broken zstd file (<reason>)",
      "get it anew (`zstd -t` tests it)",
      "a download that broke off",
    ),
    prepare(
      "an xz file that is cut off",
      "text.xz",
      readFileSync(fixture("texts", "plain.txt.xz")).subarray(0, 200),
      "<file>: broken xz file (<reason>)",
      "get it anew (`xz -t` tests it)",
      "a download that broke off",
    ),
    prepare(
      "a Parquet file that is cut off",
      "text.parquet",
      readFileSync(fixture("texts", "default.parquet")).subarray(0, 1000),
      "<file>: broken <format> file, or of a kind that is not read (<reason>)",
      "get it anew, or write its text as JSON Lines",
      "a download that broke off, or a packing that is not known",
    ),
    prepare(
      "a column that is not there",
      "text.parquet",
      readFileSync(fixture("texts", "default.parquet")),
      "<file>: no column `<column>` (found: <columns>)",
      "name the column that holds the text with --field",
      "Parquet or Arrow whose text is in another column",
      ["--field", "content"],
    ),
    prepare(
      "a column of numbers",
      "text.arrow",
      readFileSync(fixture("texts", "stream.arrow")),
      "<file>: column `<column>` is not text but <type>",
      "name the column that holds the text with --field",
      "`--field` with another column than the text's",
      ["--field", "id"],
    ),
    {
      name: "a pattern that nothing fits",
      words: async (folder) => prepareWords(folder, join(folder, "*.parquet")),
      says: "<pattern>: no file fits this pattern",
      hint: "check it, or name the files",
      cause: "a typing error in a pattern, or the wrong folder",
    },
    {
      name: "a saved dataset with a part missing",
      words: async (folder) => {
        cpSync(fixture("texts", "saved"), join(folder, "saved"), { recursive: true });
        rmSync(join(folder, "saved", "data-00001-of-00002.arrow"));
        return prepareWords(folder, join(folder, "saved"));
      },
      says: "<file>: it lists <name>, which is not there",
      hint: "save the dataset anew (save_to_disk)",
      cause: "a copy of what `datasets` saved that is not whole",
    },
    prepare(
      "a file named .gz that is none",
      "text.gz",
      enough,
      "<file>: not a gzip file, though its name says so",
      "get it anew, or drop .gz from its name",
      "a page of an error saved in its place, or a file unpacked under its old name",
    ),
    prepare(
      "a line that is no JSON",
      "text.jsonl",
      '{"text": "a"}\n{"text": \n',
      "<file>:<n>: not valid JSON (<reason>)",
      "JSON Lines hold one whole JSON object a line",
      "a JSON file of several lines named .jsonl, or a file that was cut off",
    ),
    prepare(
      "JSON Lines without a text",
      "text.jsonl",
      '{"body": "a"}\n',
      "<file>:<n>: no field `text` (found: <names>)",
      'name the field that holds the text with --field, or write {"text": "…"} on each line',
      "the text is in a field of another name",
    ),
    prepare(
      "JSON Lines with a number for a text",
      "text.jsonl",
      '{"text": 5}\n',
      "<file>:<n>: `text` is not a string",
      'name the field that holds the text with --field, or write {"text": "…"} on each line',
      "the field `text` holds something else",
    ),
    prepare(
      "JSON Lines of lists",
      "text.jsonl",
      "[1]\n",
      "<file>:<n>: not a JSON object",
      'name the field that holds the text with --field, or write {"text": "…"} on each line',
      "lines that hold something else",
    ),
    prepare(
      "sequences that are too short",
      "text.txt",
      enough,
      "--length: a sequence of <n> tokens",
      "name a whole number from 8, such as 128",
      "an option out of its range",
      ["--length", "3"],
    ),
    prepare(
      "a share of all",
      "text.txt",
      enough,
      "--validation: a share of <n>",
      "name a share from 0 to below 1, such as 0.01",
      "an option out of its range",
      ["--validation", "1"],
    ),
    prepare(
      "a share that is no number",
      "text.txt",
      enough,
      "--validation: `<value>` is no number from 0 to 1",
      "give one",
      "a typing error",
      ["--validation", "ten"],
    ),
    {
      name: "a text that can be read only once",
      words: (folder) => {
        const usual = ["--tokenizer", fixture("tokenizers", "uncased"), "--length", "16"];
        return ["prepare", "/dev/zero", "--out", join(folder, "data"), ...usual];
      },
      says: "<file>: not a regular file",
      hint: "write what it gives to a file, and name that",
      cause: "a pipe or a device in place of a file, as `<(zcat texts.gz)` is one",
    },
    {
      name: "a text that is not there",
      words: (folder) => [
        "prepare",
        join(folder, "no text.txt"),
        "--tokenizer",
        fixture("tokenizers", "uncased"),
        "--out",
        join(folder, "data"),
        "--length",
        "16",
      ],
      says: "<file>: there is no such file or folder",
      hint: "check the path",
      cause: "a path with a typing error, or a link whose target was removed",
    },
    {
      name: "a folder without a file",
      words: (folder) => [
        "prepare",
        folder,
        "--tokenizer",
        fixture("tokenizers", "uncased"),
        "--out",
        `${folder}/data`,
        "--length",
        "16",
      ],
      says: "<folder>: no file to read",
      hint: "name text files, or folders that hold some",
      cause: "an empty folder, or one of hidden files",
    },
    {
      name: "a folder that holds itself",
      words: (folder) => {
        mkdirSync(join(folder, "texts"));
        symlinkSync(".", join(folder, "texts", "more"));
        return [
          "prepare",
          join(folder, "texts"),
          "--tokenizer",
          fixture("tokenizers", "uncased"),
          "--out",
          join(folder, "data"),
          "--length",
          "16",
        ];
      },
      says: "<folder>: symbolic links that lead in a circle",
      hint: "remove the link or name the files one by one",
      cause: "a link to a folder above it",
    },
    {
      name: "prepared data that is there already",
      words: (folder) => {
        writeFileSync(join(folder, "text.txt"), enough);
        mkdirSync(join(folder, "data"));
        writeFileSync(join(folder, "data", "precious"), "keep me");
        return [
          "prepare",
          join(folder, "text.txt"),
          "--tokenizer",
          fixture("tokenizers", "uncased"),
          "--out",
          join(folder, "data"),
          "--length",
          "16",
        ];
      },
      says: "<folder>: the folder exists and is not empty",
      hint: "name a new folder, or remove this one",
      cause: "nothing is overwritten",
    },
  ],
};

/** `prepare` with a tokenizer's folder. */
function tokenizer(name: string, make: (folder: string) => void, says: string, hint: string, cause: string): Case {
  const words = (folder: string) => {
    writeFileSync(join(folder, "text.txt"), enough);
    const tokenizer = join(folder, "tokenizer");
    mkdirSync(tokenizer);
    make(tokenizer);
    return [
      "prepare",
      join(folder, "text.txt"),
      "--tokenizer",
      tokenizer,
      "--out",
      join(folder, "data"),
      "--length",
      "16",
    ];
  };
  return { name, words, says, hint, cause };
}

/** `prepare` for a model of this config, with the vocabulary of a fixture beside it. */
const forModel = (
  name: string,
  words: readonly string[],
  config: object,
  says: string,
  hint: string,
  cause: string,
): Case => ({
  name,
  words: (folder) => {
    writeFileSync(join(folder, "text.txt"), enough);
    cpSync(fixture("tokenizers", "uncased"), join(folder, "model"), { recursive: true });
    writeFileSync(join(folder, "model", "config.json"), JSON.stringify(config));
    const own = words.map((word) => (word === "model" ? join(folder, "model") : word));
    return ["prepare", join(folder, "text.txt"), "--out", join(folder, "data"), "--length", "16", ...own];
  },
  says,
  hint,
  cause,
});

const train = (name: string, words: readonly string[], says: string, hint: string, cause: string): Case => ({
  name,
  words: (folder) => {
    writeFileSync(join(folder, "text.txt"), enough);
    return ["tokenizer", "train", join(folder, "text.txt"), "--out", join(folder, "tokenizer"), ...words];
  },
  says,
  hint,
  cause,
});

export const tokenizers: Group = {
  title: "Tokenizers",
  cases: [
    tokenizer(
      "no tokenizer",
      () => {},
      "<folder>: no tokenizer in this folder",
      "name a folder with tokenizer.json, or vocab.txt, or vocab.json and merges.txt, or put them here",
      "another folder is meant",
    ),
    tokenizer(
      "a SentencePiece model alone",
      (folder) => {
        writeFileSync(join(folder, "tokenizer.model"), "");
        writeFileSync(join(folder, "config.json"), '{"model_type": "llama"}');
      },
      "<folder>: its tokenizer is tokenizer.model alone, in SentencePiece's own format, which is not read here",
      `have transformers convert it, once: python -c 'from transformers import AutoTokenizer as T; T.from_pretrained("<folder>").save_pretrained("<folder>")'`,
      "older folders of Llama, Mistral and their kin have no tokenizer.json",
    ),
    tokenizer(
      "a tokenizer.json that is no JSON",
      (folder) => writeFileSync(join(folder, "tokenizer.json"), "{"),
      "<file>: not valid JSON (<reason>)",
      "mend it or get the file anew",
      "a file written by hand, or a page of an error saved in its place",
    ),
    tokenizer(
      "a tokenizer.json without a model",
      (folder) => writeFileSync(join(folder, "tokenizer.json"), "{}"),
      "<folder>: not a tokenizer that can be read (<reason>)",
      "use a tokenizer of a model that is supported, or get the file anew",
      "a damaged tokenizer.json, or one of a newer version",
    ),
    tokenizer(
      "a tokenizer of another kind",
      (folder) => writeFileSync(join(folder, "tokenizer.json"), '{"model": {"type": "Unigram", "vocab": []}}'),
      "<folder>: not a tokenizer that can be read (<reason>)",
      "use a tokenizer of a model that is supported, or get the file anew",
      "a damaged tokenizer.json, a pattern that nobody published, or a kind that no supported model has",
    ),
    tokenizer(
      "a vocab.txt without [UNK]",
      (folder) => writeFileSync(join(folder, "vocab.txt"), "a\nb\n"),
      "<file>: no [UNK] among its tokens",
      "is this BERT's vocabulary, one token a line?",
      "a vocabulary of another kind",
    ),
    tokenizer(
      "a vocab.json that is no vocabulary",
      (folder) => {
        writeFileSync(join(folder, "vocab.json"), '{"a": "b"}');
        writeFileSync(join(folder, "merges.txt"), "");
      },
      "<file>: not a tokenizer that can be read (<reason>)",
      "use a tokenizer of a model that is supported, or get the file anew",
      "a damaged vocabulary",
    ),
    tokenizer(
      "merges of another vocabulary",
      (folder) => {
        cpSync(fixture("tokenizers", "gpt2"), folder, { recursive: true });
        writeFileSync(join(folder, "merges.txt"), "#version: 0.2\nzzz qqq\n");
      },
      "<file>:<n>: not a merge of two tokens of the vocabulary",
      "vocab.json and merges.txt must be of one tokenizer: get both anew",
      "files of two tokenizers in one folder",
    ),
    tokenizer(
      "a vocabulary that is not UTF-8",
      (folder) => writeFileSync(join(folder, "vocab.txt"), new Uint8Array([0xff, 10])),
      "<file>: not UTF-8 text",
      "save it as UTF-8, or get the file anew",
      "a file in another encoding",
    ),
    tokenizer(
      "a tokenizer without a separator",
      (folder) => {
        cpSync(fixture("tokenizers", "uncased", "vocab.txt"), join(folder, "vocab.txt"));
        const text = readFileSync(join(folder, "vocab.txt"), "utf8");
        writeFileSync(join(folder, "vocab.txt"), text.replace("[SEP]\n", "[ABC]\n"));
      },
      "<folder>: the tokenizer has no separator and no end-of-text token",
      "name one in special_tokens_map.json: sep_token ([SEP]) or eos_token (<|endoftext|>)",
      "special tokens under names that nobody knows",
    ),
    tokenizer(
      "special tokens that are split",
      (folder) => {
        cpSync(fixture("tokenizers", "uncased"), folder, { recursive: true });
        writeFileSync(join(folder, "tokenizer_config.json"), '{"split_special_tokens": true}');
      },
      "<file>: `split_special_tokens` is not supported",
      "take the line out: a special token's text then stands for that token",
      "a setting of a chat model",
    ),
    tokenizer(
      "a class that is not known, and its own files",
      (folder) => {
        cpSync(fixture("tokenizers", "uncased"), folder, { recursive: true });
        writeFileSync(join(folder, "tokenizer_config.json"), '{"tokenizer_class": "BertJapaneseTokenizer"}');
      },
      "<folder>: no tokenizer.json, and its tokenizer_class BertJapaneseTokenizer is not known here",
      "have transformers save it: AutoTokenizer.from_pretrained(…).save_pretrained(…) writes tokenizer.json",
      "a tokenizer that is more than its vocabulary",
    ),
    tokenizer(
      "added tokens and a vocabulary with gaps",
      (folder) => {
        const special = { special: true, normalized: false, single_word: false, lstrip: false, rstrip: false };
        writeFileSync(
          join(folder, "tokenizer.json"),
          JSON.stringify({
            added_tokens: [{ id: 9, content: "[SEP]", ...special }],
            model: { type: "WordLevel", unk_token: "a", vocab: { a: 0, "[SEP]": 9 } },
          }),
        );
        writeFileSync(join(folder, "tokenizer_config.json"), '{"eos_token": "[END]"}');
      },
      "<folder>: the id of the added token [END] is not certain: its vocabulary has gaps",
      "have transformers save the tokenizer anew: save_pretrained(…)",
      "a vocabulary from which tokens were taken out",
    ),
    tokenizer(
      "a character without a token",
      (folder) => {
        const model = { type: "BPE", unk_token: "[UNK]", vocab: { a: 0, "</s>": 1 }, merges: [] };
        writeFileSync(join(folder, "tokenizer.json"), JSON.stringify({ model }));
        writeFileSync(join(folder, "tokenizer_config.json"), '{"eos_token": "</s>"}');
      },
      "<folder>: the tokenizer has no token for a text (<reason>)",
      "give it an unknown token, or every character that texts may hold",
      "a vocabulary of single characters that lacks its own unknown token",
    ),
    forModel(
      "no tokenizer is named",
      [],
      { ...smallBert },
      "bert2bert prepare: no tokenizer is named",
      "add --tokenizer FOLDER, or --model FOLDER to take a model's own",
      "an option that was forgotten",
    ),
    forModel(
      "sequences longer than the model takes",
      ["--model", "model"],
      { ...smallBert, max_position_embeddings: 8 },
      "--length: sequences of <n> tokens, and the model takes <n>",
      "name <n> or less",
      "`--length` of another model",
    ),
    forModel(
      "a special token that the model lacks",
      ["--model", "model"],
      { ...smallBert, vocab_size: 4 },
      '<folder>: its vocabulary has <n> entries: the special token "[MASK]" has id <n>',
      "take the tokenizer that the model was trained with, or a model whose embeddings have a row for it",
      "a mask token that was added to the tokenizer, and not to the model",
    ),
    forModel(
      "a token that the model lacks",
      ["--model", "model"],
      { ...smallBert, vocab_size: 20 },
      "<folder>: its vocabulary has <n> entries: the texts hold a token that the model lacks: <token> has id <n>",
      "take the tokenizer that the model was trained with, or a model whose embeddings have a row for it",
      "the tokenizer of another model",
    ),
    train(
      "a vocabulary that is too small",
      ["--kind", "bpe", "--vocab", "100"],
      "--vocab: a vocabulary of <n> entries",
      "name at least <n>: the 256 bytes and the special tokens have to be among them",
      "an option out of its range",
    ),
    train(
      "BPE in lower case",
      ["--kind", "bpe", "--vocab", "300", "--lowercase"],
      "--lowercase: byte-level BPE keeps case",
      "leave it out, or choose --kind wordpiece",
      "options that exclude each other",
    ),
    train(
      "WordPiece with GPT-2's special tokens",
      ["--kind", "wordpiece", "--vocab", "300", "--special", "gpt2"],
      "--special: WordPiece has BERT's special tokens",
      "leave it out, or choose --kind bpe",
      "options that exclude each other",
    ),
  ],
};

/** A run on prepared data that something is wrong with. */
function data(
  name: string,
  make: (folder: string) => void | Promise<void>,
  says: string,
  hint: string,
  cause: string,
  lines: Readonly<Record<string, string>> = {},
  config: object = smallBert,
  leaves: readonly string[] = [],
): Case {
  const words = async (folder: string) => {
    const path = await runFile(folder, lines, config);
    await make(folder);
    return ["pretrain", path];
  };
  return { name, words, says, hint, cause, leaves };
}

const info = (folder: string) => join(folder, "data", "data.json");
const anew = "prepare the data anew";

export const prepared: Group = {
  title: "Prepared data",
  cases: [
    data(
      "no data",
      (folder) => rmSync(join(folder, "data"), { recursive: true }),
      "<folder>: no such folder",
      "`bert2bert prepare` makes it from text",
      "a path with a typing error",
    ),
    data(
      "a folder without data",
      (folder) => rmSync(info(folder)),
      "<folder>: no prepared data in this folder (data.json is missing)",
      "`bert2bert prepare` makes it from text",
      "another folder is meant",
    ),
    data(
      "a data.json of something else",
      (folder) => writeFileSync(info(folder), "{}"),
      "<file>: not data that `prepare` wrote",
      anew,
      "another file under this name",
    ),
    data(
      "data of another version",
      (folder) => change(info(folder), { version: 99 }),
      "<file>: format version <n>, this version reads <n>",
      "prepare the data anew, or use the version that wrote it",
      "data of a newer bert2bert",
    ),
    data(
      "a damaged data.json",
      (folder) => change(info(folder), { length: -1 }),
      "<file>: `length` is missing or damaged",
      anew,
      "a file changed by hand",
    ),
    data(
      "tokens that are cut off",
      (folder) => {
        const path = join(folder, "data", "train.tokens");
        writeFileSync(path, readFileSync(path).subarray(0, -2));
      },
      "<file>: its size is not what data.json says",
      anew,
      "a copy that broke off",
    ),
    data(
      "a token outside the vocabulary",
      (folder) => {
        const path = join(folder, "data", "validation.tokens");
        const bytes = readFileSync(path);
        bytes[1] = 0xff;
        writeFileSync(path, bytes);
      },
      "<file>: token <n> is <n>, and its tokenizer has <n>",
      "the file is damaged: prepare the data anew",
      "a damaged disk or copy",
      { evaluate: "{every: 1}" },
      smallBert,
      ["out/"],
    ),
    data(
      "sequences longer than the positions",
      () => {},
      "<folder>: the data's sequences are <n> tokens long, the model takes <n>",
      "prepare the data with --length <n> or less",
      "data prepared for another model",
      {},
      { ...smallBert, max_position_embeddings: 8 },
    ),
    data(
      "a vocabulary larger than the model's",
      () => {},
      "<folder>: the data's tokenizer has <n> tokens, the model's vocabulary <n>, and the data holds or needs token <n>",
      "prepare the data with the model's own tokenizer: bert2bert prepare … --model FOLDER checks every id",
      "a tokenizer of another model",
      {},
      { ...smallBert, vocab_size: 30 },
    ),
    data(
      "data of another tokenizer than the model's",
      (folder) => {
        model(folder, "bert-tiny", "source");
        // 120 tokens, as many as the model has, but not those that the data was prepared with.
        const words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...Array.from({ length: 115 }, (_, i) => `x${i}`)];
        writeFileSync(join(folder, "source", "vocab.txt"), `${words.join("\n")}\n`);
      },
      "<folder>: the data was prepared with another tokenizer than that of <folder>",
      "prepare it anew: bert2bert prepare … --tokenizer <folder>",
      "the tokenizer of another model",
      { model: "{from: source}" },
    ),
    data(
      "no mask token for masked language modelling",
      async (folder) => {
        const path = join(folder, "data", "tokenizer", "vocab.txt");
        writeFileSync(path, readFileSync(path, "utf8").replace("[MASK]", "[QUIZ]"));
        const { openTokenizer } = await import("../../../../src/data/tokenizer/tokenizer.ts");
        const { info: now } = await openTokenizer(join(folder, "data", "tokenizer"));
        change(info(folder), { tokenizer: now });
      },
      "<folder>: its tokenizer has no mask token, which objective mlm needs",
      "prepare the data with a BERT or RoBERTa tokenizer whose special_tokens_map.json names it, or train with objective clm",
      "data of a GPT-2 tokenizer",
    ),
    data(
      "a tokenizer's folder without one",
      (folder) => mkdirSync(join(folder, "empty")),
      "<folder>: holds no tokenizer",
      "name a folder with tokenizer.json, or vocab.txt",
      "`model.tokenizer` names another folder",
      { model: "{init: config.json, tokenizer: empty}" },
    ),
    data(
      "an objective without its head",
      () => {},
      "<file>: the model has no head for objective <name>",
      "use objective mlm, or a model whose class in config.json's `architectures` has that head",
      "clm is for GPT-2, mlm for BERT and RoBERTa",
      { objective: "clm" },
    ),
    data(
      "a model without a language-model head",
      (folder) => {
        const path = join(folder, "config.json");
        writeFileSync(
          path,
          JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), architectures: ["BertModel"] }),
        );
      },
      "<file>: the model has no head for objective <name>",
      "draw one with `bert2bert grow … --add-head`, or with `add-head: true` beside `from` in a run; where `init` names a config, name a class with that head in its `architectures`",
      "a bare encoder (BertModel), or a model fine-tuned for a task",
    ),
    data(
      "data without a full sequence",
      async (folder) => {
        rmSync(join(folder, "data"), { recursive: true });
        await writeData(join(folder, "data"), 16, 10);
      },
      "<folder>: its training part holds no full sequence of <n> tokens",
      "prepare more text, a shorter --length, or a larger --validation share",
      "too little text for the length",
    ),
  ],
};
