/** Small models with tokenizers, and tables to fine-tune them on. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createModel } from "../../src/model/create.ts";
import type { Json } from "../../src/util/json.ts";
import { RandomStream } from "../../src/util/random.ts";
import { fixture } from "../support.ts";

/** Writes texts into files of a folder, each into one of its own. */
export function filesIn(root: string): (text: string) => string {
  let count = 0;
  return (text) => {
    const path = join(root, `file-${count++}`);
    writeFileSync(path, text);
    return path;
  };
}

const encoder = {
  vocab_size: 2000,
  hidden_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 64,
};
const configs: Readonly<Record<string, Json>> = {
  bert: { model_type: "bert", architectures: ["BertForMaskedLM"], ...encoder, max_position_embeddings: 40 },
  roberta: { model_type: "roberta", ...encoder, vocab_size: 1200, max_position_embeddings: 42, type_vocab_size: 1 },
  distilbert: {
    ...{ model_type: "distilbert", vocab_size: 2000, dim: 32, n_layers: 2, n_heads: 2, hidden_dim: 64 },
    max_position_embeddings: 40,
  },
  modernbert: {
    ...{ model_type: "modernbert", ...encoder, max_position_embeddings: 40, local_attention: 8, classifier_bias: true },
    ...{ pad_token_id: 0, cls_token_id: 2, sep_token_id: 3, bos_token_id: 2, eos_token_id: 3, norm_bias: true },
  },
  ...Object.fromEntries(
    ["llama", "mistral", "qwen2", "qwen3"].map((type): [string, Json] => [
      type,
      {
        ...{ model_type: type, ...encoder, vocab_size: 1200, num_key_value_heads: 1, max_position_embeddings: 40 },
        ...(type === "qwen3" ? { head_dim: 16 } : {}),
      },
    ]),
  ),
  gpt2: { model_type: "gpt2", vocab_size: 1200, n_positions: 40, n_embd: 32, n_layer: 2, n_head: 2, eos_token_id: 0 },
};

/** @param more keys of its config @returns its folder */
export async function smallModel(root: string, kind: keyof typeof configs, more: Json = {}): Promise<string> {
  const folder = join(root, kind);
  await createModel({ ...configs[kind], ...more }, "config.json", folder, { seed: 2 });
  const uncased = ["bert", "distilbert", "modernbert"].includes(kind);
  const tokenizer = uncased ? "uncased" : kind === "roberta" ? kind : "gpt2";
  cpSync(fixture("tokenizers", tokenizer), folder, { recursive: true });
  return folder;
}

const words = "the cat dog sat ran on a mat house red big small and then went home with her old friend".split(" ");

/** A table with a header: texts `a` and `b`, whether a word occurs in `a` (`class`), and how often (`value`). */
export function writeTable(path: string, rows: number, seed: number): string {
  const random = new RandomStream(seed, "test/table");
  const lines = Array.from({ length: rows }, (_, row) => {
    const text = (from: number) => {
      const count = 3 + random.below(12, 100 * row + from);
      return Array.from({ length: count }, (_, i) => words[random.below(words.length, 100 * row + from + 1 + i)]).join(
        " ",
      );
    };
    const [a, b] = [text(0), text(50)];
    const cats = a.split(" ").filter((word) => word === "cat" || word === "dog").length;
    return [a, b, cats > 0 ? "yes" : "no", cats + 0.5].join("\t");
  });
  writeFileSync(path, ["a\tb\tclass\tvalue", ...lines].map((line) => `${line}\n`).join(""));
  return path;
}

const names = ["Zoë", "Tom 😀", "Lily", "Ben"];

/** Questions as SQuAD's JSON has them: some without an answer, some with several. */
export function writeQuestions(path: string, count: number, seed: number): string {
  const random = new RandomStream(seed, "test/questions");
  const paragraphs = Array.from({ length: count }, (_, n) => {
    const draw = (most: number, i: number) => random.below(most, 1000 * n + i);
    const sentences = Array.from({ length: 3 + draw(9, 0) }, (_, i) => {
      const some = Array.from(
        { length: 4 + draw(6, 10 * i + 1) },
        (_, j) => words[draw(words.length, 100 + 20 * i + j)],
      );
      return `${names[draw(4, 10 * i + 2)]} said: ${some.join(" ")}.`;
    });
    const context = sentences.join(" ");
    const [said] = sentences[draw(sentences.length, 3)].split(": ").slice(1);
    const at = [...context.slice(0, context.indexOf(said))].length;
    const answers = [{ text: said.slice(0, -1), answer_start: at }];
    if (n % 3 === 0) answers.push({ text: `${said.split(" ")[0]}`, answer_start: at });
    const none = n % 4 === 3;
    const qas = [
      {
        id: `q${n}`,
        question: `  What was said ${said.slice(0, 3)}?`,
        answers: none ? [] : answers,
        is_impossible: none,
      },
    ];
    return { context, qas };
  });
  writeFileSync(path, JSON.stringify({ version: "v2.0", data: [{ title: "t", paragraphs }] }));
  return path;
}

/** Words with names among them marked as CoNLL-2003 has them, in one of its forms. */
export function sentencesOf(count: number, seed: number): { tokens: string[]; ner_tags: string[] }[] {
  const random = new RandomStream(seed, "test/sentences");
  return Array.from({ length: count }, (_, n) => {
    const all = Array.from({ length: 3 + random.below(14, 100 * n) }, (_, i): [string, string][] => {
      const kind = random.below(5, 100 * n + 2 * i + 1);
      const word = words[random.below(words.length, 100 * n + 2 * i + 2)];
      if (kind > 1) return [[word, "O"]];
      const type = kind === 0 ? "PER" : "LOC";
      const entity: [string, string][] = [[`Mc${word}son`, `B-${type}`]];
      return word.length > 3 ? [...entity, ["Ångström", `I-${type}`]] : entity;
    }).flat();
    return { tokens: all.map(([word]) => word), ner_tags: all.map(([, tag]) => tag) };
  });
}
