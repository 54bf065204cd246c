/** Small models with tokenizers, and tables to fine-tune them on. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createModel } from "../../src/model/create.ts";
import type { Json } from "../../src/util/json.ts";
import { RandomStream } from "../../src/util/random.ts";
import { fixture } from "../support.ts";

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
  gpt2: { model_type: "gpt2", vocab_size: 1200, n_positions: 40, n_embd: 32, n_layer: 2, n_head: 2, eos_token_id: 0 },
};

/** @returns its folder */
export async function smallModel(root: string, kind: keyof typeof configs): Promise<string> {
  const folder = join(root, kind);
  await createModel(configs[kind], "config.json", folder, { seed: 2 });
  cpSync(fixture("tokenizers", ["bert", "distilbert", "modernbert"].includes(kind) ? "uncased" : kind), folder, {
    recursive: true,
  });
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
