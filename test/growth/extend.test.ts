/** More ids and more positions: what the new rows are, what stays of the function, and what is refused. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { openOptimizer } from "../../src/checkpoint/optimizer.ts";
import { openTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import type { Extension } from "../../src/growth/extend.ts";
import { planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { evaluate, type Recipe } from "../../src/growth/recipe.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { initialise } from "../../src/model/init.ts";
import { openModel } from "../../src/model/load.ts";
import { runsAlong } from "../../src/model/table.ts";
import { randomInputs } from "../../src/probe/verify.ts";
import { isJsonObject, parseJsonObject } from "../../src/util/json.ts";
import { cli, fixture, fixtures, temporaryFolder } from "../support.ts";
import { measure, planOf, source } from "./support.ts";

const extend = (pieces: Iterable<readonly [number, readonly number[]]> = []): Extension => ({
  pieces: new Map(pieces),
  positions: "extend",
});

/** A recipe's values, made of the fixture's own. */
async function valuesOf(name: string, recipe: Recipe | undefined): Promise<Float32Array> {
  const { weights } = await source(name);
  if (recipe === undefined) throw new Error("no recipe");
  return evaluate(recipe, { read: (tensor, start, count) => weights.readF32(tensor, start, count) });
}

describe.each(fixtures)("%s", (name) => {
  it("keeps all that is computed of old ids, on the whole range of old positions", async () => {
    const { model } = await source(name);
    const { vocab, positions, hidden } = model.dimensions;
    const extension = extend([[vocab + 1, [3, 5, 5]]]);
    const inputs = randomInputs(model, 5, 2, positions);
    for (const sizes of [{ vocab: vocab + 7 }, { positions: 2 * positions - 3, hidden: 2 * hidden }]) {
      const found = await measure(name, { vocab: vocab + 2, ...sizes }, { method: "fpi", extension }, { inputs });
      expect(found.plan.promise.kind).toBe("exact");
      expect(found.plan.promise.reason).toContain("old ids keep their logits");
      expect(found.kept).toBe(true);
      expect(found.largest).toBeLessThanOrEqual(1e-5);
    }
  });

  it("has the mean of its pieces in each row of a new id, or what is drawn; and moments of 0", async () => {
    const { vocab, hidden } = (await source(name)).model.dimensions;
    const pieces = [
      [vocab, [3, 5, 5]],
      [vocab + 2, [7]],
    ] as const;
    const sizes = { vocab: vocab + 3, hidden: 2 * hidden };
    const plan = await planOf(name, sizes, { method: "fpi", seed: 9, extension: extend(pieces) });
    const rows = plan.parameters.filter(({ parameter }) => runsAlong(parameter.dims[0], "vocab"));
    expect(rows.length).toBeGreaterThan(0);
    for (const { parameter, weight, moments } of rows) {
      const values = await valuesOf(name, weight);
      const width = values.length / (vocab + 3);
      const row = (id: number) => [...values.subarray(id * width, (id + 1) * width)];
      const [three, five] = [row(3), row(5)];
      const mean = three.map((value, j) => (value + 2 * five[j]) / 3);
      for (const [j, value] of row(vocab).entries()) expect(value).toBeCloseTo(mean[j], 6);
      expect(row(vocab + 2)).toEqual(row(7));
      expect(row(vocab + 1)).toEqual([...initialise(parameter, 9, (vocab + 1) * width, width)]);
      expect(moments?.stepsOf).toBeUndefined();
      const m = await valuesOf(name, moments?.m);
      expect(m.subarray(vocab * width).every((value) => value === 0)).toBe(true);
      expect(m.subarray(0, vocab * width).some((value) => value !== 0)).toBe(true);
    }
  });
});

test.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])("positions of %s go round, or are spread", async (name) => {
  const { model, weights } = await source(name);
  const { positions, hidden } = model.dimensions;
  const first = model.network.embedding.positions?.first ?? 0;
  const many = 3 * positions + 2;
  const made = async (by: "extend" | "interpolate") => {
    const extension = { pieces: new Map(), positions: by };
    const plan = await planOf(name, { positions: many }, { method: "fpi", extension });
    const of = plan.parameters.find(({ parameter }) => runsAlong(parameter.dims[0], "position"));
    const values = await valuesOf(name, of?.weight);
    expect(values.length).toBe((first + many) * hidden);
    return { plan, of, row: (p: number) => [...values.subarray((first + p) * hidden, (first + p + 1) * hidden)] };
  };
  const table = model.parameters.find(({ dims }) => runsAlong(dims[0], "position"));
  const old = await weights.readF32(table?.name ?? "");
  const was = (p: number) => [...old.subarray((first + p) * hidden, (first + p + 1) * hidden)];
  const round = await made("extend");
  for (const p of [-first, 0, positions - 1]) expect(round.row(p)).toEqual(was(p));
  for (const p of [positions, 2 * positions + 3, many - 1]) expect(round.row(p)).toEqual(was(p % positions));
  const spread = await made("interpolate");
  expect(spread.plan.promise.kind).toBe("none");
  expect(spread.of?.moments).toBeUndefined();
  for (const p of [0, 1, positions, many - 2, many - 1]) {
    const at = (p * (positions - 1)) / (many - 1);
    const [below, above] = [was(Math.floor(at)), was(Math.min(positions - 1, Math.floor(at) + 1))];
    const between = below.map((value, j) => value + (at % 1) * (above[j] - value));
    for (const [j, value] of spread.row(p).entries()) expect(value).toBeCloseTo(between[j], 6);
  }
});

test("rotary positions go on as they are, are slowed down, or get another base", async () => {
  const { model } = await source("llama-tiny");
  const { positions, headWidth } = model.dimensions;
  const sizes = (positionsBy: TargetSizes["positionsBy"]) => ({ positions: 4 * positions, positionsBy });
  const frequencies = (by: TargetSizes["positionsBy"]) => {
    const { rope } = resizedModel(model, sizes(by)).network.attends(undefined);
    return [...(rope?.frequencies ?? [])];
  };
  const before = frequencies("extend");
  expect(before).toEqual(model.network.attends(undefined).rope?.frequencies);
  for (const [i, value] of frequencies("interpolate").entries()) expect(value).toBeCloseTo(before[i] / 4, 6);
  const based = frequencies("base");
  expect(based[0]).toBe(1);
  // The slowest pair turns as far over four times the range.
  expect(based[headWidth / 2 - 1]).toBeCloseTo(before[headWidth / 2 - 1] / 4, 6);
  for (const positionsBy of ["interpolate", "base"] as const) {
    const extension = { pieces: new Map(), positions: positionsBy };
    const plan = planGrowth(model, resizedModel(model, sizes(positionsBy)), { method: "fpi", extension });
    expect(plan.promise.kind).toBe("none");
  }
});

test("what can't be is refused", async () => {
  const [bert, modernbert] = [(await source("bert-tiny")).model, (await source("modernbert-tiny")).model];
  const plan = (sizes: TargetSizes, extension?: Extension) => () =>
    planGrowth(bert, resizedModel(bert, sizes), { method: "fpi", extension });
  expect(plan({ vocab: 500 })).toThrow("the target's vocabulary is 500");
  expect(plan({ vocab: 5 }, extend())).toThrow("the target's vocabulary is 5");
  expect(plan({ positions: 5 }, extend())).toThrow("the target's number of positions is 5");
  const based = { pieces: new Map(), positions: "base" } as const;
  expect(plan({ positions: 500, positionsBy: "base" }, based)).toThrow("has a table of positions");
  expect(() => resizedModel(modernbert, { positions: 500, positionsBy: "base" })).toThrow(
    "modernbert can't be stretched",
  );
  const config = { model_type: "llama", rope_parameters: { rope_type: "linear", factor: 2 } };
  const scaled = architectureOf(config, "test").model(config, "test");
  expect(() => resizedModel(scaled, { positions: 9999, positionsBy: "interpolate" })).toThrow("scaled already");
});

describe("a tokenizer with more tokens", () => {
  const root = temporaryFolder();
  const [from, more, other] = ["source", "more", "other"].map((name) => join(root, name));

  async function made(): Promise<{ vocabulary: number; texts: readonly string[] }> {
    const tokenizer = fixture("tokenizers", "gpt2");
    const { info, description } = await openTokenizer(tokenizer);
    const config = {
      model_type: "gpt2",
      vocab_size: info.vocabulary,
      n_embd: 16,
      n_head: 2,
      n_layer: 2,
      n_positions: 24,
    };
    writeFileSync(join(root, "config.json"), JSON.stringify(config));
    expect(cli(["init", join(root, "config.json"), from]).code).toBe(0);
    for (const folder of [from, more, other]) cpSync(tokenizer, folder, { recursive: true });
    const added = Array.isArray(description.json.added_tokens) ? description.json.added_tokens : [];
    const texts = ["bert2bert", " 12 of them"];
    const form = { special: false, single_word: false, lstrip: false, rstrip: false, normalized: false };
    const tokens = texts.map((content, i) => ({ id: info.vocabulary + i, content, ...form }));
    writeFileSync(
      join(more, "tokenizer.json"),
      JSON.stringify({ ...description.json, added_tokens: [...added, ...tokens] }),
    );
    const [first, second] = Object.entries(parseJsonObject(readFileSync(join(other, "vocab.json"), "utf8"), "vocab"));
    const swapped = readFileSync(join(other, "vocab.json"), "utf8");
    const vocabulary = { ...parseJsonObject(swapped, "vocab"), [first[0]]: second[1], [second[0]]: first[1] };
    writeFileSync(join(other, "vocab.json"), JSON.stringify(vocabulary));
    return { vocabulary: info.vocabulary, texts };
  }

  it("grows the model with it: rows from their pieces, verified, and repeated byte for byte", async () => {
    const { vocabulary, texts } = await made();
    const grown = join(root, "grown");
    const words = ["--hidden", "32", "--positions", "48", "--method", "fpi"];
    const done = cli(["grow", from, grown, "--tokenizer", more, ...words]);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toContain(`old ids keep their logits, those of ${texts.length} new ones stand beside them`);
    const [old, opened] = [await openTokenizer(from), await openModel(grown)];
    expect(opened.model.dimensions).toMatchObject({ vocab: vocabulary + texts.length, positions: 48, hidden: 32 });
    const table = await opened.weights.readF32("transformer.wte.weight");
    const row = (id: number) => table.subarray(id * 32, (id + 1) * 32);
    for (const [i, text] of texts.entries()) {
      const pieces = [...(await old.encode([text])).ids];
      expect(pieces.length).toBeGreaterThan(1);
      const mean = row(pieces[0]).map((_, j) => pieces.reduce((sum, id) => sum + row(id)[j], 0) / pieces.length);
      for (const [j, value] of row(vocabulary + i).entries()) expect(value).toBeCloseTo(mean[j], 6);
      expect([...(await (await openTokenizer(grown)).encode([text])).ids]).toEqual([vocabulary + i]);
    }
    await opened.close();
    const limit = parseJsonObject(readFileSync(join(grown, "tokenizer_config.json"), "utf8"), "limit").model_max_length;
    expect(limit).toBe(48);
    const verified = cli(["verify", from, grown]);
    expect(verified.code, verified.stderr).toBe(0);
    expect(verified.stdout).toContain("kept");
    expect(cli(["verify", "--sample", from, grown]).code).toBe(0);
    const again = join(root, "again");
    const record = join(grown, "growth.json");
    expect(cli(["grow", from, again, "--repeat", record]).stderr).toContain("with --tokenizer");
    expect(cli(["grow", from, again, "--repeat", record, "--tokenizer", from]).code).toBe(2);
    expect(cli(["grow", from, again, "--repeat", record, "--tokenizer", more]).code).toBe(0);
    const bytes = (folder: string) => readFileSync(join(folder, "model.safetensors"));
    expect(bytes(again).equals(bytes(grown))).toBe(true);
    const fresh = join(root, "fresh");
    expect(cli(["grow", from, fresh, "--tokenizer", more, "--new-tokens", "fresh", ...words]).code).toBe(0);
    expect(bytes(fresh).equals(bytes(grown))).toBe(false);
    const wider = join(root, "more-rows");
    expect(cli(["grow", from, wider, "--vocab", String(vocabulary + 3)]).code).toBe(0);
    expect(cli(["grow", from, join(root, "none"), "--vocab", "999", "--layers", "5"]).stderr).toContain(
      "no method is named",
    );
    expect(await openOptimizer(grown)).toBeUndefined();
    const written = parseJsonObject(readFileSync(record, "utf8"), record).extension;
    expect(isJsonObject(written) && written.positions).toBe("extend");
    for (const [asked, message] of [
      [["--tokenizer", other], "add tokens to the tokenizer that the model has"],
      [["--tokenizer", more, "--vocab", String(vocabulary + 1)], "ids are too few"],
      [["--positions-by", "base"], "add --positions N"],
      [["--vocab", "999999", "--new-tokens", "mean"], "new tokens can't get `mean`"],
      [["--positions", "99", "--positions-by", "tile"], "positions can't be made by `tile`"],
    ] as const) {
      const refused = cli(["grow", from, join(root, "none"), "--method", "fpi", ...asked]);
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });
});
