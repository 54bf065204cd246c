/** What is written is finite, and what is said of it holds: overflow, NaN, numbers too small for a format. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openOptimizer, optimizerFile, optimizerTensors } from "../../src/checkpoint/optimizer.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { openWeights } from "../../src/checkpoint/weights.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { applyGrowth } from "../../src/growth/apply.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { openModel } from "../../src/model/load.ts";
import { shapeOf } from "../../src/model/table.ts";
import { probe } from "../../src/probe/probe.ts";
import { randomInputs } from "../../src/probe/verify.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";
import { reference } from "./support.ts";

/** A copy of a fixture some of whose numbers are others. @param numbers by tensor, by place */
async function changed(
  root: string,
  name: string,
  numbers: Readonly<Record<string, Readonly<Record<number, number>>>>,
) {
  const folder = join(root, "source");
  cpSync(fixture(name), folder, { recursive: true });
  for (const file of readdirSync(folder)) if (file.endsWith(".safetensors")) rmSync(join(folder, file));
  const { model, weights, close } = await openModel(fixture(name));
  const tensors = model.parameters.map((parameter) => ({
    name: parameter.name,
    dtype: "F32" as const,
    shape: shapeOf(parameter),
    data: async () => {
      const data = (await weights.readF32(parameter.name)).slice();
      for (const [at, value] of Object.entries(numbers[parameter.name] ?? {})) data[Number(at)] = value;
      return data;
    },
  }));
  await writeWeights(folder, tensors, { keep: new Set(Object.keys(numbers)) });
  await close();
  return folder;
}

const words = "transformer.wte.weight";
const matrix = "transformer.h.1.mlp.c_fc.weight";
const wide = ["--method", "fpi", "--hidden", "128"];

describe("a growth", () => {
  it("does not write numbers that its format has not, and says how many and how large", async () => {
    const root = temporaryFolder();
    const from = await changed(root, "gpt2-tiny", { [words]: { 5: 7e4, 6: -1e5 }, [matrix]: { 0: 65504 } });
    const refused = cli(["grow", from, join(root, "new", "out"), ...wide, "--dtype", "F16"]);
    expect(refused.code).toBe(2);
    // Twice as wide: each of the two stands twice.
    expect(refused.stderr).toContain(`too large for F16: 4 numbers of ${words}`);
    expect(refused.stderr).toContain("hint: store them as BF16 or F32");
    expect(readdirSync(root)).toEqual(["source"]);
    expect(cli(["grow", from, join(root, "out"), ...wide, "--dtype", "F16", "--keep-nonfinite"]).code).toBe(2);
    const done = cli(["grow", from, join(root, "out"), ...wide, "--dtype", "BF16"]);
    expect(done.code, done.stderr).toBe(0);
  });

  it("refuses the case of a weight too large for F16 as it came from outside", ({ skip }) => {
    const from = join(packageRoot(), "..", "shared", "cases", "f16-overflow", "m-big");
    if (!existsSync(from)) {
      console.warn(`skipped: ${from} is absent`);
      return skip();
    }
    const root = temporaryFolder();
    const refused = cli(["grow", from, join(root, "out"), "--method", "fpi", "--hidden", "64", "--dtype", "F16"]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("too large for F16: ");
    expect(readdirSync(root)).toEqual([]);
  });

  it("takes over NaN and infinity only where it is told to, promises nothing then, and repeats it", async () => {
    const root = temporaryFolder();
    const [nan, infinite] = [Number.NaN, Number.NEGATIVE_INFINITY];
    const from = await changed(root, "gpt2-tiny", { [words]: { 5: nan }, [matrix]: { 3: infinite, 4: nan } });
    const out = join(root, "out");
    const refused = cli(["grow", from, out, ...wide]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/out: NaN or infinity in 10 numbers of 2 tensors, such as transformer/);
    expect(refused.stderr).toContain("--keep-nonfinite");
    expect(readdirSync(root)).toEqual(["source"]);
    const done = cli(["grow", from, out, ...wide, "--keep-nonfinite"]);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toContain("does not compute what its source computes: 3 of the source's weights are NaN");
    expect(readFileSync(join(out, "README.md"), "utf8")).toContain("3 of the source's weights are NaN or infinite");
    const weights = await openWeights(out);
    const grown = await weights.readF32(words);
    expect([grown[5], grown[5 + 64], grown[6]]).toEqual([nan, nan, expect.any(Number)]);
    await weights.close();
    const again = cli(["grow", from, join(root, "again"), "--repeat", join(out, "growth.json")]);
    expect(again.code, again.stderr).toBe(0);
    for (const file of readdirSync(out)) {
      expect(readFileSync(join(root, "again", file)).equals(readFileSync(join(out, file))), file).toBe(true);
    }
  });

  it("refuses what becomes infinite as it grows, whatever is kept", async () => {
    const root = temporaryFolder();
    const source = await openModel(await changed(root, "gpt2-tiny", { [words]: { 5: Number.NaN } }));
    const plan = planGrowth(source.model, resizedModel(source.model, { hidden: 128 }), { method: "fpi" });
    // A method of somebody's own that multiplies by too much.
    const parameters = plan.parameters.map((planned) => {
      if (planned.parameter.name !== matrix) return planned;
      const fill: typeof planned.weight.fill = async (out, row, from) => {
        await planned.weight.fill(out, row, from);
        out[0] *= 1e300;
      };
      return { ...planned, weight: { ...planned.weight, fill } };
    });
    const grown = applyGrowth({ ...plan, parameters }, source, join(root, "out"), { keepNotFinite: true });
    await expect(grown).rejects.toThrow(`NaN or infinity in 1 number of ${matrix}`);
    await source.close();
    expect(readdirSync(root)).toEqual(["source"]);
  });

  it("counts what is too small for its format, says so and notes it", async () => {
    const root = temporaryFolder();
    const from = await changed(root, "gpt2-tiny", { [matrix]: { 0: 1e-9, 1: -2e-8, 2: 6e-8, 3: 0 } });
    const out = join(root, "out");
    const done = cli(["grow", from, out, "--method", "fpi", "--layers", "4", "--depth", "zero", "--dtype", "F16"]);
    expect(done.code, done.stderr).toBe(0);
    // Others of the fixture's may be as small: counted from what is stored.
    let vanished = 0;
    const [source, grown] = [await openModel(from), await openModel(out)];
    for (const parameter of source.model.parameters.filter(({ layer }) => layer === null || layer < 2)) {
      const [a, b] = [await source.weights.readF32(parameter.name), await grown.weights.readF32(parameter.name)];
      a.forEach((value, i) => {
        if (value !== 0 && b[i] === 0) vanished++;
      });
    }
    await source.close();
    await grown.close();
    expect(vanished).toBeGreaterThanOrEqual(2);
    expect(done.stderr).toContain(`${vanished} weights are too small for F16 and are 0 in it`);
    expect(readFileSync(join(out, "README.md"), "utf8")).toContain(`| weights too small for it, now 0 | ${vanished} |`);
  });

  it("writes moments in F32 whatever the weights are in, and refuses those that are not finite", async () => {
    const root = temporaryFolder();
    for (const bad of [0, Number.NaN]) {
      const from = join(root, `from-${bad}`);
      cpSync(fixture("bert-tiny"), from, { recursive: true });
      const { model, close } = await openModel(from);
      const states = model.parameters.map((parameter, p) => {
        const shape = shapeOf(parameter);
        const count = shape.reduce((product, extent) => product * extent, 1);
        // Too small for F16.
        const moment = async () => new Float32Array(count).fill(1e-12).fill(p === 3 ? bad : 1e-12, 0, 1);
        return { name: parameter.name, shape, moment, steps: async () => 9 };
      });
      await writeWeights(from, optimizerTensors(states), {
        fileName: optimizerFile,
        keep: new Set(optimizerTensors(states).map(({ name }) => name)),
      });
      await close();
      const out = join(root, `out-${bad}`);
      const done = cli(["grow", from, out, ...wide, "--dtype", "F16"]);
      if (Number.isNaN(bad)) {
        expect(done.code).toBe(2);
        expect(done.stderr).toContain("NaN or infinity in 4 numbers of 2 tensors, such as m/");
        expect(done.stderr).toContain("or --moments drop");
        expect(existsSync(out)).toBe(false);
        continue;
      }
      expect(done.code, done.stderr).toBe(0);
      const file = await openSafetensors(join(out, optimizerFile));
      expect([...file.tensors.values()].every(({ dtype }) => dtype === "F32")).toBe(true);
      await file.close();
      const state = await openOptimizer(out);
      const v = await state?.read("v", "bert.encoder.layer.0.attention.self.query.weight");
      expect(v?.every((value) => value > 0)).toBe(true);
      await state?.close();
    }
  });
});

describe("verification of weights stored in less", () => {
  it("compares with the source as it is, and with the source stored alike: both are shown", async () => {
    const root = temporaryFolder();
    const out = join(root, "out");
    const done = cli(["grow", fixture("gpt2-tiny"), out, ...wide, "--dtype", "BF16"]);
    expect(done.stderr).toContain("It computes what its source computes once that is rounded to BF16 too");
    expect(readFileSync(join(out, "README.md"), "utf8")).toContain("once that is rounded to BF16 too");
    const verified = cli(["verify", fixture("gpt2-tiny"), out, "--json"]);
    expect(verified.code, verified.stderr).toBe(0);
    const result = JSON.parse(verified.stdout);
    const logits = result.differences.find((one: { name: string }) => one.name === "logits");

    // By hand, on another engine.
    const [source, grown] = [await openModel(fixture("gpt2-tiny")), await openModel(out)];
    const inputs = randomInputs(source.model, 0);
    const run = async ({ model, weights }: typeof source) => {
      const engine = await reference();
      const outputs = await probe(model, weights, inputs, engine, { gradients: false });
      await engine.close();
      return outputs.get("logits")?.data ?? new Float32Array(0);
    };
    const [a, b] = [await run(source), await run(grown)];
    await source.close();
    await grown.close();
    const largest = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const share = largest(a.map((value, i) => value - b[i])) / largest(a);
    expect(share).toBeGreaterThan(1e-3);
    expect(logits.share).toBeCloseTo(share, 5);
    expect(logits.alike).toBeLessThan(1e-5);
    expect(result.kept).toBe(true);
    const shown = cli(["verify", fixture("gpt2-tiny"), out]).stdout;
    expect(shown).toContain("share, source in BF16 too");
    expect(shown).toContain(`against the source as it is: ${logits.share.toExponential(1)}`);
  });

  it("shows one figure where nothing was rounded", () => {
    const out = join(temporaryFolder(), "out");
    expect(cli(["grow", fixture("gpt2-tiny"), out, ...wide]).stderr).toContain(
      "It computes what its source computes: ",
    );
    const shown = cli(["verify", fixture("gpt2-tiny"), out]).stdout;
    expect(shown).not.toContain("as it is");
  });
});
