/** Growing a model that has no language-model head into one that has. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../src/checkpoint/folder.ts";
import { methods } from "../../src/growth/methods.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { outputsWithLanguageModel } from "../../src/model/head.ts";
import { initialise } from "../../src/model/init.ts";
import { openModel } from "../../src/model/load.ts";
import { probe } from "../../src/probe/probe.ts";
import { randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { checkpoint, folderOf, renamed } from "../model/support.ts";
import { cli, temporaryFolder } from "../support.ts";
import { grown, reference, same } from "./support.ts";

/** The fixture as a bare model: without its heads, and without the prefix that a model with heads has. */
function bare(name: string): Promise<string> {
  const { architectures: _, ...config } = checkpoint(name).config;
  const kind = { "bert-tiny": "BertModel", "roberta-tiny": "RobertaModel", "gpt2-tiny": "GPT2Model" }[name];
  const tensors = renamed(name, (tensor) =>
    /^(cls|lm_head)/.test(tensor) ? undefined : tensor.replace(/^(bert|roberta|transformer)\./, ""),
  );
  return folderOf({ ...config, architectures: [kind ?? ""] }, tensors);
}

const fixtures = ["bert-tiny", "roberta-tiny", "gpt2-tiny"];
/** Twice as wide: what any method that keeps the function keeps it at. */
function doubled(name: string): number {
  const { hidden_size, n_embd } = checkpoint(name).config;
  return 2 * Number(hidden_size ?? n_embd);
}

describe.each(fixtures)("%s", (name) => {
  // What isometric copies no LayerNorm may see.
  it.each(methods.map((method) => method.name).filter((method) => method !== "isometric"))(
    "%s: hidden states as promised, the head as for a new model",
    async (method) => {
      const source = await openModel(await bare(name));
      const { model } = source;
      const heads = outputsWithLanguageModel(model, "source");
      const plan = planGrowth(model, resizedModel(model, { hidden: doubled(name) }, heads), { method, seed: 3 });
      const without = planGrowth(model, resizedModel(model, { hidden: doubled(name) }), { method, seed: 3 });
      expect(plan.growth.target.outputs.lm).toBe("tied");
      expect(plan.promise).toEqual(without.promise);
      const made = grown(plan, source);
      for (const { parameter, moments } of plan.parameters) {
        if (!/^(cls|lm_head)/.test(parameter.name)) continue;
        expect(same(await made.weights.readF32(parameter.name), initialise(parameter, 3)), parameter.name).toBe(true);
        expect(moments).toBeUndefined();
      }
      const { promise } = plan;
      const record = { choices: { method, seed: 3, maps: plan.growth.drawn }, dtype: "F32" as const, promise };
      const result = await verifyGrowth(source, made, record, randomInputs(model, 1, 2, 9), reference);
      expect(result.kept).toBe(true);
      expect(result.differences.filter(({ judged }) => judged).map((one) => one.name)).toContain(
        `hidden.${model.dimensions.layers}`,
      );
      await source.close();
    },
  );

  it("as a command: said at once, verified, resumed, repeated to the bit", async () => {
    const source = await bare(name);
    const root = temporaryFolder();
    const [out, other, again] = ["out", "other", "again"].map((one) => join(root, one));
    const words = ["--method", "fpi", "--hidden", String(doubled(name))];
    const less = cli(["grow", source, other, ...words]);
    expect([less.code, less.stderr]).toEqual([
      0,
      expect.stringMatching(/: there is no language-model head, which pre-training needs: draw one with .*--add-head/),
    ]);
    const done = cli(["grow", source, out, ...words, "--seed", "7", "--add-head"]);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toMatch(/The language-model head is new/);
    expect(done.stderr).not.toMatch(/pre-training needs/);
    const { architectures } = await readConfig(out);
    expect(architectures).toEqual(
      checkpoint(name).config.architectures?.toString().includes("Bert")
        ? ["BertForMaskedLM"]
        : checkpoint(name).config.architectures,
    );
    expect(cli(["verify", source, out]).stdout).toMatch(/kept: /);
    expect(cli(["grow", source, out, ...words, "--seed", "7", "--add-head"]).stderr).toMatch(
      /holds this growth already/,
    );
    expect(cli(["grow", source, again, "--repeat", join(out, "growth.json")]).code).toBe(0);
    expect(hashes(again)).toEqual(hashes(out));
    const plan = cli(["grow", source, "--dry-run", ...words, "--add-head"]);
    expect(plan.code, plan.stderr).toBe(0);
    if (name !== "gpt2-tiny") expect(plan.stdout).toMatch(/dense\.weight +new +\[\d+, \d+\] .*random/);
  });

  it("a head and nothing else", async () => {
    const source = await bare(name);
    const out = join(temporaryFolder(), "out");
    const { code, stderr } = cli(["grow", source, out, "--method", "direct", "--add-head"]);
    expect(code, stderr).toBe(0);
    expect(cli(["verify", source, out]).stdout).toMatch(/kept: at most 1e-5/);
    const twice = cli(["grow", out, `${out}2`, "--method", "direct", "--add-head", "--layers", "9"]);
    expect([twice.code, twice.stderr]).toEqual([2, expect.stringMatching(/has a language-model head already/)]);
  });
});

it.each(["fpi", "lemon"])(
  "GPT-2's head is its embeddings, so what grows by %s is the language model itself",
  async (method) => {
    const source = await openModel(await bare("gpt2-tiny"));
    const whole = await openModel(
      await folderOf(
        checkpoint("gpt2-tiny").config,
        renamed("gpt2-tiny", (one) => one),
      ),
    );
    const sizes = { hidden: method === "lemon" ? 96 : 128 };
    const heads = outputsWithLanguageModel(source.model, "source");
    const plan = planGrowth(source.model, resizedModel(source.model, sizes, heads), { method });
    const inputs = randomInputs(whole.model, 2, 2, 9);
    const made = grown(plan, source);
    const [a, b] = await Promise.all(
      [whole, made].map(async ({ model, weights }) =>
        (await probe(model, weights, inputs, await reference(), { gradients: false })).get("logits"),
      ),
    );
    const scale = a?.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) ?? 0;
    const largest = a?.data.reduce((most, value, i) => Math.max(most, Math.abs(value - (b?.data[i] ?? Number.NaN))), 0);
    expect(largest).toBeLessThan(1e-5 * scale);
    await Promise.all([source.close(), whole.close()]);
  },
);

function hashes(folder: string): Map<string, string> {
  const hash = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(folder, name)))
      .digest("hex");
  return new Map(readdirSync(folder).map((name) => [name, hash(name)]));
}
