import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openOptimizer, optimizerFile, optimizerTensors } from "../../src/checkpoint/optimizer.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { applyGrowth } from "../../src/growth/apply.ts";
import { type GrowthChoices, planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { readRecord } from "../../src/growth/record.ts";
import { repeatedPlan } from "../../src/growth/repeat.ts";
import { openModel } from "../../src/model/load.ts";
import { shapeOf } from "../../src/model/table.ts";
import { randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";
import { reference } from "./support.ts";

/** Files of a folder and the hashes of their bytes. */
function contents(folder: string): Map<string, string> {
  const hash = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(folder, name)))
      .digest("hex");
  return new Map(readdirSync(folder).map((name) => [name, hash(name)]));
}

async function grow(from: string, out: string, sizes: TargetSizes, choices: GrowthChoices, options = {}) {
  const source = await openModel(from);
  try {
    const plan = planGrowth(source.model, resizedModel(source.model, sizes), choices);
    return await applyGrowth(plan, source, out, options);
  } finally {
    await source.close();
  }
}

/** A fixture's folder with a tokenizer file, a generation config and a made-up state of an optimizer beside it. */
async function trained(name: string): Promise<string> {
  const folder = join(temporaryFolder(), name);
  cpSync(fixture(name), folder, { recursive: true });
  for (const extra of ["inputs.safetensors", "expected.safetensors", "recipe.json"]) rmSync(join(folder, extra));
  writeFileSync(join(folder, "vocab.txt"), "[PAD]\n");
  writeFileSync(join(folder, "generation_config.json"), "{}\n");
  const { model, close } = await openModel(folder);
  const states = model.parameters.map((parameter, p) => {
    const shape = shapeOf(parameter);
    const count = shape.reduce((product, extent) => product * extent, 1);
    const moment = async (which: string) =>
      Float32Array.from({ length: count }, (_, i) => (which === "v" ? 1 : -1) * (p + i / count));
    return { name: parameter.name, shape, moment, steps: async () => 40 + p };
  });
  await writeWeights(folder, optimizerTensors(states), { fileName: optimizerFile });
  await close();
  return folder;
}

it("LEMON's folder keeps its promise at 1.5 times the width and comes again from growth.json", () => {
  const root = temporaryFolder();
  const [from, out, again] = [fixture("gpt2-tiny"), join(root, "out"), join(root, "again")];
  const options = ["--method", "lemon", "--hidden", "96", "--shares", "noisy", "--noise", "6", "--inner", "fresh"];
  const done = cli(["grow", from, out, ...options]);
  expect(done.code, done.stderr).toBe(0);
  expect(JSON.parse(readFileSync(join(out, "config.json"), "utf8")).layer_norm_epsilon).toBeCloseTo(1e-5 / 1.5, 12);
  const verified = cli(["verify", from, out]);
  expect(verified.code, verified.stderr).toBe(0);
  expect(verified.stdout).toMatch(/kept: at most 1e-5 .* promised \(exact/);
  expect(cli(["grow", from, again, "--repeat", join(out, "growth.json")]).code).toBe(0);
  expect(contents(again)).toEqual(contents(out));
  // What was grown grows on, with an eps that follows.
  const further = cli([
    "grow",
    out,
    join(root, "further"),
    "--method",
    "lemon",
    "--hidden",
    "112",
    "--layers",
    "5",
    "--depth",
    "zero",
  ]);
  expect(further.code, further.stderr).toBe(0);
  const kept = cli(["verify", out, join(root, "further")]);
  expect(kept.stdout).toContain("kept: at most 1e-5");
  const wrong = cli(["grow", from, join(root, "x"), "--method", "aki", "--hidden", "96", "--shares", "unequal"]);
  expect(wrong.code).toBe(2);
});

describe("a grown folder", () => {
  it("holds everything, opens, keeps its promise, and comes again from growth.json alone, byte for byte", async () => {
    const from = await trained("bert-tiny");
    const root = temporaryFolder();
    const cases: [GrowthChoices, TargetSizes, object][] = [
      [{ method: "fpi", map: "shuffled", depth: "zero", seed: 3 }, { hidden: 128, layers: 4 }, {}],
      [
        { method: "aki", options: { scope: "units", readout: "upper" }, map: "random", seed: 4 },
        { hidden: 96 },
        { dtype: "BF16" },
      ],
      [
        { method: "direct", moments: "old-only", seed: 2 ** 40 },
        { heads: 5, layers: 5 },
        { dtype: "F16", maxShardBytes: 100_000 },
      ],
    ];
    for (const [number, [choices, sizes, options]] of cases.entries()) {
      const out = join(root, `grown-${number}`);
      await grow(from, out, sizes, choices, options);
      const files = contents(out);
      for (const name of [
        "config.json",
        "growth.json",
        "README.md",
        "vocab.txt",
        "generation_config.json",
        optimizerFile,
      ]) {
        expect(files.has(name), name).toBe(true);
      }
      expect(files.has("model.safetensors.index.json")).toBe(number === 2);

      const [source, grown, record] = [await openModel(from), await openModel(out), await readRecord(out)];
      const result = await verifyGrowth(source, grown, record, randomInputs(source.model, 1, 2, 8), reference);
      expect(result.kept).toBe(true);
      expect(result.allowed).toBe(number === 0 ? 1e-5 : undefined);
      await grown.close();

      const again = join(root, `again-${number}`);
      const { plan, dtype } = await repeatedPlan(source, join(out, "growth.json"));
      await applyGrowth(plan, source, again, { ...options, dtype });
      expect(contents(again)).toEqual(files);
      await source.close();
    }
  });

  it("holds grown moments, their step counts, and none where they are dropped or were not there", async () => {
    const from = await trained("gpt2-tiny");
    const root = temporaryFolder();
    const before = await openOptimizer(from);
    await grow(from, join(root, "grown"), { hidden: 128, layers: 4 }, { method: "fpi", depth: "zero" });
    const after = await openOptimizer(join(root, "grown"));
    const name = "transformer.h.0.mlp.c_fc.weight"; // [hidden in, ffn out]: the FFN's 2 copies share.
    const read = async (state: typeof before, which: "m" | "v") => state?.read(which, name);
    for (const which of ["m", "v"] as const) {
      const [small, large] = [await read(before, which), await read(after, which)];
      const shared = which === "m" ? 2 : 4;
      for (const [i, j] of [
        [0, 0],
        [5, 7],
        [70, 300],
        [127, 511],
      ]) {
        expect(large?.[i * 512 + j]).toBe((small?.[(i % 64) * 256 + (j % 256)] ?? Number.NaN) / shared);
      }
    }
    expect(await after?.steps(name)).toBe(await before?.steps(name));
    // Zero layers go above the third block of three: the fourth is new.
    const fresh = "transformer.h.3.mlp.c_fc.weight";
    expect(await after?.steps(fresh)).toBe(0);
    expect((await after?.read("m", fresh))?.every((value) => value === 0)).toBe(true);
    await after?.close();
    await before?.close();

    await grow(from, join(root, "dropped"), { ffn: 300 }, { method: "fpi", moments: "drop" });
    expect(contents(join(root, "dropped")).has(optimizerFile)).toBe(false);
    await grow(fixture("gpt2-tiny"), join(root, "without"), { ffn: 300 }, { method: "fpi" });
    expect(contents(join(root, "without")).has(optimizerFile)).toBe(false);
  });

  it("says what it is: dtype in config.json, today's names, hashes of what it came from", async () => {
    const out = join(temporaryFolder(), "grown");
    await grow(fixture("roberta-tiny"), out, { hidden: 96, ffn: 321 }, { method: "fpi" }, { dtype: "BF16" });
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
    expect(config).toMatchObject({
      hidden_size: 96,
      num_attention_heads: 6,
      intermediate_size: 321,
      dtype: "bfloat16",
    });
    expect(config.architectures).toEqual(["RobertaForMaskedLM"]);
    const record = JSON.parse(readFileSync(join(out, "growth.json"), "utf8"));
    expect(record.source.files["model.safetensors"]).toMatch(/^[0-9a-f]{64}$/);
    expect(record.promise.kind).toBe("exact");
    expect(record.maps.ffn.of).toHaveLength(321);
  });
});

describe("bert2bert grow", () => {
  it("grows, prints a plan without writing, and repeats", () => {
    const root = temporaryFolder();
    const out = join(root, "grown");
    const sizes = ["--hidden", "128", "--layers", "5"];
    const dry = cli(["grow", fixture("bert-tiny"), join(root, "dry"), ...sizes, "--method", "aki", "--dry-run"]);
    expect(dry.code, dry.stderr).toBe(0);
    expect(dry.stdout).toContain("new heads units from the layer above");
    expect(dry.stdout).toContain("layers: 0 1 2 1* 2*");
    expect(readdirSync(root)).toEqual([]);
    const done = cli(["grow", fixture("bert-tiny"), out, ...sizes, "--method", "aki", "--scope", "units", "--json"]);
    expect(done.code, done.stderr).toBe(0);
    expect(JSON.parse(done.stdout)).toMatchObject({ out, dtype: "F32", promise: { kind: "none" } });
    const again = cli(["grow", fixture("bert-tiny"), join(root, "again"), "--repeat", join(out, "growth.json")]);
    expect(again.code, again.stderr).toBe(0);
    expect(contents(join(root, "again"))).toEqual(contents(out));
    const foreign = cli(["grow", fixture("gpt2-tiny"), join(root, "no"), "--repeat", join(out, "growth.json")]);
    expect(foreign.code).toBe(2);
  });

  it.each<[string, string[], string]>([
    ["a method it does not know", ["--hidden", "128", "--method", "akl"], "did you mean `aki`"],
    ["no method", ["--hidden", "128"], "give one of fpi, aki, direct"],
    ["no size", ["--method", "fpi"], "no target size"],
    ["heads that are not whole", ["--hidden", "100", "--method", "fpi"], "take 96 or 112"],
    ["a smaller target", ["--layers", "1", "--method", "fpi"], "models only grow"],
    ["two targets", ["--hidden", "128", "--to", "x.json", "--method", "fpi"], "given twice"],
    ["a format it does not know", ["--hidden", "128", "--method", "fpi", "--dtype", "F17"], "F16"],
    ["an option of another method", ["--hidden", "128", "--method", "fpi", "--scope", "all"], "no such option"],
  ])("refuses %s with a way out, writing nothing", (_what, args, hint) => {
    const root = temporaryFolder();
    const done = cli(["grow", fixture("bert-tiny"), join(root, "out"), ...args]);
    expect(done.code).toBe(2);
    expect(done.stderr).toContain(hint);
    expect(done.stderr).not.toContain("    at ");
    expect(readdirSync(root)).toEqual([]);
  });
});
