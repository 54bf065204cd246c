/** Prepared data and small configs for runs that take seconds: a language of a few tokens with a pattern to learn. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DatasetInfo, infoJson } from "../../src/data/prepared/dataset.ts";
import { openTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { RandomStream } from "../../src/util/random.ts";
import { type Document, writeDocuments } from "../data/documents.ts";

export const vocabulary = 40;

async function writeTokenizer(folder: string): Promise<DatasetInfo["tokenizer"]> {
  mkdirSync(join(folder, "tokenizer"), { recursive: true });
  const words = Array.from({ length: vocabulary - 5 }, (_, i) => `w${i}`);
  const entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...words];
  writeFileSync(join(folder, "tokenizer", "vocab.txt"), `${entries.join("\n")}\n`);
  return (await openTokenizer(join(folder, "tokenizer"))).info;
}

/** Documents of lines of one topic each, so that whether B follows A can be told: a fifth of the words is a topic. */
export async function writeTopics(folder: string, length = 16): Promise<void> {
  const tokenizer = await writeTokenizer(folder);
  const random = new RandomStream(8, "test topics");
  let index = 0;
  const below = (n: number) => random.below(n, index++);
  const documents = (count: number): Document[] =>
    Array.from({ length: count }, () => {
      const topic = below(5);
      const line = () => Array.from({ length: 2 + below(7) }, () => 5 + 7 * topic + below(7));
      return Array.from({ length: 2 + below(5) }, line);
    });
  writeDocuments(folder, documents(250), documents(40), length, tokenizer);
}

/** Writes prepared data of sequences of `length` tokens into a folder. */
export async function writeData(folder: string, length = 16, tokens = 6000): Promise<void> {
  const tokenizer = await writeTokenizer(folder);
  const random = new RandomStream(7, "test data");
  const part = (name: string, count: number, start: number) => {
    const ids = new Uint16Array(count);
    let last = 5;
    for (let i = 0; i < count; i++) {
      // Mostly a successor that depends on the last token, now and then any token.
      last =
        random.uniform(2 * (start + i)) < 0.8 ? 5 + ((3 * last + 1) % 35) : 5 + random.below(35, 2 * (start + i) + 1);
      ids[i] = last;
    }
    writeFileSync(join(folder, `${name}.tokens`), ids);
    return { documents: 1, lines: 1, tokens: count };
  };
  const info: DatasetInfo = {
    length,
    width: 2,
    tokenizer,
    separator: 3,
    lineBreak: [],
    train: part("train", tokens, 0),
    validation: part("validation", 40 * length, tokens),
    sources: [],
  };
  writeFileSync(join(folder, "data.json"), JSON.stringify(infoJson(info)));
}

export const bertConfig = {
  model_type: "bert",
  architectures: ["BertForMaskedLM"],
  vocab_size: vocabulary,
  hidden_size: 16,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 16,
  hidden_dropout_prob: 0.1,
  attention_probs_dropout_prob: 0.1,
};

export const gpt2Config = {
  model_type: "gpt2",
  architectures: ["GPT2LMHeadModel"],
  vocab_size: vocabulary,
  n_embd: 16,
  n_layer: 3,
  n_head: 2,
  n_positions: 16,
  resid_pdrop: 0.1,
  embd_pdrop: 0.1,
  attn_pdrop: 0.1,
};

/** With pooler and next-sentence head. */
export const pairsConfig = { ...bertConfig, architectures: ["BertForPreTraining"] };

/** Writes data, a config and RUN.yaml into a folder. @returns the path of RUN.yaml */
export async function writeRun(folder: string, config: object, yaml: string): Promise<string> {
  if (config === pairsConfig) await writeTopics(join(folder, "data"));
  else await writeData(join(folder, "data"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const path = join(folder, "run.yaml");
  writeFileSync(path, yaml);
  return path;
}
