/** Learned growth: the maps make what FPI makes where nothing is learned yet, and learning beats what AKI starts with. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { evaluate } from "../../src/growth/recipe.ts";
import { openModel } from "../../src/model/load.ts";
import { shapeOf } from "../../src/model/table.ts";
import { coefficientsOf, grownWeights, stored } from "../../src/train/ligo.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";
import { gpt2Config, writeRun } from "./data.ts";

describe("LiGO's maps", () => {
  it.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])(
    "without noise make FPI's weights of %s, width and depth",
    async (name) => {
      const source = await openModel(fixture(name));
      const { hidden, layers, heads, ffn } = source.model.dimensions;
      for (const sizes of [
        { heads: heads + 1, ffn: ffn + 9 },
        { hidden: 2 * hidden, layers: layers + 2 },
      ]) {
        const target = resizedModel(source.model, sizes);
        const ligo = planGrowth(source.model, target, { method: "ligo", options: { jitter: 0 }, depth: "interleave" });
        const fpi = planGrowth(source.model, target, { method: "fpi", depth: "interleave" });
        const engine = await referenceEngine.open({ threads: 1, precision: "f32" });
        for (const parameter of source.model.parameters) {
          await engine.write(stored(parameter.name), shapeOf(parameter), await source.weights.readF32(parameter.name));
        }
        for (const { name, shape, start } of coefficientsOf(ligo)) await engine.write(name, shape, start);
        const made = await (await engine.compile(grownWeights(ligo))).run({});
        await engine.close();
        const read = (tensor: string, start: number, count: number) => source.weights.readF32(tensor, start, count);
        let compared = 0;
        for (const { parameter, weight } of fpi.parameters) {
          const mine = made[parameter.name];
          if (mine === undefined) continue;
          const wanted = await evaluate(weight, { read });
          const off = wanted.reduce((most, value, i) => Math.max(most, Math.abs(value - mine[i])), 0);
          expect(off, parameter.name).toBeLessThan(1e-6);
          compared++;
        }
        expect(compared).toBeGreaterThan(20);
      }
      await source.close();
    },
  );
});

describe("grow --method ligo", () => {
  const folder = temporaryFolder();
  const [model, data] = [join(folder, "out", "model"), join(folder, "data")];
  beforeAll(async () => {
    const yaml = `
out: out
model: {init: config.json}
data: {from: data}
objective: clm
batch: {sequences: 8}
optimizer: {lr: 1e-2, dropout: 0}
steps: 120
engine: {kind: onnx, threads: 1}
`;
    expect(cli(["pretrain", await writeRun(folder, gpt2Config, yaml)]).code).toBe(0);
  });
  const lossOf = (grown: string): number => {
    const done = cli(["evaluate", grown, "--data", data, "--engine", "onnx", "--json"]);
    expect(done.code, done.stderr).toBe(0);
    return JSON.parse(done.stdout).loss;
  };

  it("begins below what AKI begins with, says what it cost, and repeats byte for byte", () => {
    const sizes = ["--hidden", "24", "--layers", "4"];
    const out = (name: string) => join(folder, name);
    expect(cli(["grow", model, out("aki"), "--method", "aki", ...sizes]).code).toBe(0);
    const learn = ["--method", "ligo", "--data", data, "--engine", "onnx", "--threads", "1", ...sizes];
    const done = cli(["grow", model, out("ligo"), ...learn]);
    expect(done.code, done.stderr).toBe(0);
    expect(lossOf(out("ligo"))).toBeLessThan(lossOf(out("aki")) - 0.02);
    const { learned, promise } = JSON.parse(readFileSync(join(out("ligo"), "growth.json"), "utf8"));
    expect(promise.kind).toBe("none");
    expect(learned).toMatchObject({ steps: 100, tokens: 100 * 16 * 16, objective: "clm" });
    expect(learned.loss.last).toBeLessThan(learned.loss.first);
    expect(learned.flops.exact).toBeGreaterThan(learned.flops.paper / 2);
    expect(cli(["grow", model, out("again"), ...learn]).code).toBe(0);
    const bytes = (name: string) => readFileSync(join(out(name), "model.safetensors")).toString("base64");
    expect(bytes("again")).toBe(bytes("ligo"));
    expect(cli(["verify", model, out("ligo")]).code).toBe(0);
    const record = join(out("ligo"), "growth.json");
    const repeated = cli(["grow", model, out("repeated"), "--repeat", record]);
    expect([repeated.code, repeated.stderr]).toEqual([2, expect.stringContaining("learned on data")]);
  });

  it("is refused without data, in a run's stage, and where there is nothing to learn", () => {
    const none = cli(["grow", model, join(folder, "x"), "--method", "ligo", "--hidden", "24"]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("are learned on data")]);
    const fpi = cli(["grow", model, join(folder, "x"), "--method", "fpi", "--hidden", "32", "--data", data]);
    expect([fpi.code, fpi.stderr]).toEqual([2, expect.stringContaining("learns nothing")]);
    const stage = "plan=[{steps: 10}, {grow: {hidden: 24, method: ligo}}]";
    const run = cli(["pretrain", join(folder, "run.yaml"), "--set", stage, "--set", "out=other"]);
    expect([run.code, run.stderr]).toEqual([2, expect.stringContaining("are learned on data")]);
  });
});
