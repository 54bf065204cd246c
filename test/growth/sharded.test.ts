/**
 * Large models lie in shards: written by init in BF16, grown to a config and to other heads of keys and values, compared
 * block by block; and what can't be compared whole is told so before anything is read.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openWeights } from "../../src/checkpoint/weights.ts";
import { openModel } from "../../src/model/load.ts";
import { putTogether, takeApart } from "../cli/bad-input/support.ts";
import { cli, temporaryFolder } from "../support.ts";

const llama = {
  model_type: "llama",
  vocab_size: 320,
  hidden_size: 64,
  intermediate_size: 144,
  num_hidden_layers: 3,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  max_position_embeddings: 64,
  initializer_range: 0.2,
};
const indexName = "model.safetensors.index.json";

/** A folder that init wrote. */
function made(root: string, ...words: string[]): string {
  writeFileSync(join(root, "config.json"), JSON.stringify(llama));
  const done = cli(["init", join(root, "config.json"), join(root, "source"), ...words]);
  expect(done.code, done.stderr).toBe(0);
  return join(root, "source");
}

const shardsOf = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".safetensors"));

describe("a model in shards", () => {
  it("is drawn in BF16, grows to a config and to other heads, and is compared block by block", async () => {
    const root = temporaryFolder();
    const source = made(root, "--dtype", "BF16", "--max-shard", "100KB");
    expect(shardsOf(source).length).toBeGreaterThan(2);
    const { metadata } = JSON.parse(readFileSync(join(source, indexName), "utf8"));
    const config = JSON.parse(readFileSync(join(source, "config.json"), "utf8"));
    expect([metadata.total_size, config.dtype]).toEqual([2 * metadata.total_parameters, "bfloat16"]);
    const opened = await openModel(source);
    const stored = new Set(opened.model.parameters.map(({ name }) => opened.weights.dtype(name)));
    await opened.close();
    expect(stored).toEqual(new Set(["BF16"]));
    const target = { ...config, hidden_size: 128, num_attention_heads: 16, num_key_value_heads: 8, head_dim: 8 };
    writeFileSync(join(root, "target.json"), JSON.stringify({ ...target, intermediate_size: 300 }));
    const growths: [string, string[]][] = [
      ["to", ["--to", join(root, "target.json"), "--max-shard", "200KB"]],
      ["kv", ["--hidden", "128", "--kv-heads", "4", "--max-shard", "200KB"]],
    ];
    for (const [name, words] of growths) {
      const out = join(root, name);
      const done = cli(["grow", source, out, "--method", "fpi", ...words]);
      expect(done.code, done.stderr).toBe(0);
      expect(shardsOf(out).length).toBeGreaterThan(1);
      for (const way of [[], ["--sample"]]) {
        const verified = cli(["verify", source, out, ...way]);
        expect(verified.code, verified.stdout + verified.stderr).toBe(0);
        expect(verified.stdout).toContain("kept: ");
        expect(verified.stdout.includes("a sample: each of 3 blocks by itself")).toBe(way.length > 0);
      }
    }
  });

  it("may keep shards in a folder below, and names one that is missing there", async () => {
    const root = temporaryFolder();
    const source = made(root, "--max-shard", "100KB");
    const names = shardsOf(source);
    const index = readFileSync(join(source, indexName), "utf8");
    const plain = await openWeights(source);
    const before = new Map(await Promise.all(plain.names().map(async (n) => [n, await plain.readF32(n)] as const)));
    await plain.close();
    mkdirSync(join(source, "weights"));
    for (const name of names) renameSync(join(source, name), join(source, "weights", name));
    writeFileSync(join(source, indexName), index.replaceAll('"model-', '"weights/model-'));
    const below = await openWeights(source);
    for (const [name, values] of before) expect(await below.readF32(name)).toEqual(values);
    await below.close();
    rmSync(join(source, "weights", names[1]));
    await expect(openWeights(source)).rejects.toThrow(`shard weights/${names[1]} is missing`);
    for (const shard of [
      "weights/../../secret.safetensors",
      "/etc/a.safetensors",
      "./a.safetensors",
      "a//b.safetensors",
    ]) {
      writeFileSync(join(source, indexName), JSON.stringify({ weight_map: { x: shard } }));
      await expect(openWeights(source), shard).rejects.toThrow("no safetensors file of this folder");
    }
  });

  it("may be of one name in two folders below: each is recorded, and looked at", () => {
    const root = temporaryFolder();
    const source = made(root, "--max-shard", "100KB");
    const index: { weight_map: Record<string, string> } = JSON.parse(readFileSync(join(source, indexName), "utf8"));
    const places = new Map(shardsOf(source).map((name, i) => [name, `${i}/model.safetensors`]));
    for (const [name, place] of places) {
      mkdirSync(join(source, place, ".."));
      renameSync(join(source, name), join(source, place));
    }
    const weight_map = Object.fromEntries(Object.entries(index.weight_map).map(([n, of]) => [n, places.get(of)]));
    writeFileSync(join(source, indexName), JSON.stringify({ ...index, weight_map }));
    rmSync(join(source, "SHA256SUMS"));
    const grown = join(root, "grown");
    const grow = ["grow", source, grown, "--hidden", "128", "--method", "fpi"];
    expect(cli(grow).code).toBe(0);
    const record: { source: { files: Record<string, string> } } = JSON.parse(
      readFileSync(join(grown, "growth.json"), "utf8"),
    );
    expect(Object.keys(record.source.files)).toEqual(expect.arrayContaining([...places.values()]));
    expect(cli(["verify", source, grown]).code).toBe(0);
    const first = join(source, "0", "model.safetensors");
    const bytes = readFileSync(first);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(first, bytes);
    const refused = cli(["verify", source, grown]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("0/model.safetensors of");
  });

  it("that does not fit into memory is refused at once, with the way out", () => {
    const root = temporaryFolder();
    const source = made(root);
    const grown = join(root, "grown");
    expect(cli(["grow", source, grown, "--hidden", "128", "--method", "fpi"]).code).toBe(0);
    for (const folder of [source, grown]) {
      // Holes in place of a terabyte of embeddings: nothing of them may be read.
      const rows = 2 ** 31 - 1;
      const path = join(folder, "model.safetensors");
      const { header } = takeApart(readFileSync(path));
      let at = 0;
      for (const [name, entry] of Object.entries(header).filter(([key]) => key !== "__metadata__")) {
        if (/embed_tokens|lm_head/.test(name)) entry.shape = [rows, entry.shape[1]];
        const end = at + 4 * entry.shape.reduce((product, extent) => product * extent, 1);
        entry.data_offsets = [at, end];
        at = end;
      }
      const bytes = putTogether(header, new Uint8Array());
      writeFileSync(path, bytes);
      truncateSync(path, bytes.length + at);
      const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
      writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, vocab_size: rows }));
    }
    const refused = cli(["verify", source, grown]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/grown: comparing the whole models takes at least \d+ GB of memory, .* to spare/);
    expect(refused.stderr).toContain("hint: compare a sample, block by block: --sample");
  });
});
