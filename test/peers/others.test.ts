/**
 * Other tools as referees: where our rules are theirs, the tensors are equal bit by bit. mergekit's passthrough for depth
 * (`pip install mergekit`), hypercloning for twice the width (BERT2BERT_HYPERCLONING names a checkout of it), prts's
 * bert2BERT, the one of G_stack's authors, for FPI (BERT2BERT_PRTS). Where they differ is said in docs/methods.md.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { applyGrowth } from "../../src/growth/apply.ts";
import { type GrowthChoices, planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { openModel } from "../../src/model/load.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { readTensors } from "../probe/fixtures.ts";
import { python, temporaryFolder } from "../support.ts";

const scripts = (name: string) => readFileSync(join(packageRoot(), "test", "peers", name), "utf8");
const root = temporaryFolder();
const peer = python(["torch", "transformers", "safetensors"]);
const merging = peer === undefined ? undefined : python(["mergekit", "peft", "accelerate"]);
/** A checkout that a variable of the environment names. */
function checkout(variable: string, of: string): string | undefined {
  const folder = process.env[variable];
  if (folder === undefined) console.warn(`skipped: ${variable} names no checkout of ${of}`);
  return folder;
}
const cloning = checkout("BERT2BERT_HYPERCLONING", "ml-hypercloning");
const prts = checkout("BERT2BERT_PRTS", "tongxuluo/prts");

/** Qwen's config has a kind for each layer, of which mergekit writes as many as the source has: transformers refuses it. */
const names = ["llama-groups", "llama-one-kv-tied", "mistral-window", "gpt2-inner"];

beforeAll(() => {
  peer?.run(scripts("models.py"), ["make", join(root, "made"), ...names, "llama-biases-wide-heads"]);
});

/** Grows by ours; the layers of the plan come back. */
async function ours(name: string, sizes: (layers: number) => TargetSizes, choices: GrowthChoices, out: string) {
  const source = await openModel(join(root, "made", name));
  const plan = planGrowth(source.model, resizedModel(source.model, sizes(source.model.dimensions.layers)), choices);
  await applyGrowth(plan, source, out, { dtype: "F32" });
  await source.close();
  return plan;
}

/** @param given theirs by our name, where they are others' */
async function expectSame(folder: string, other: string, given: (name: string) => string = (name) => name) {
  const [own, theirs] = await Promise.all([folder, other].map((at) => readTensors(join(at, "model.safetensors"))));
  // A tied head that is written out as well is the embedding once more.
  const found = [...theirs.keys()].filter((name) => own.has(given(name)) || name !== "lm_head.weight");
  expect(found.map(given).sort()).toEqual([...own.keys()].sort());
  for (const name of found) {
    const [a, b] = [own.get(given(name)), theirs.get(name)];
    expect(a?.shape, name).toEqual(b?.shape);
    const differ = a?.data.reduce((count, value, i) => count + Number(value !== b?.data[i]), 0);
    expect(differ, `${name} of ${folder}`).toBe(0);
  }
}

describe.skipIf(merging === undefined)("mergekit's passthrough", () => {
  const jobs: [source: string, out: string, layers: unknown][] = [];

  // All at once: it takes longer to begin than to merge.
  beforeAll(async () => {
    for (const name of names) {
      const source = join(root, "made", name);
      for (const [depth, more] of [
        ["overlap", 1],
        ["middle", 1],
        ["stack", 3],
        ["interleave", 3],
        ["spread", 2],
        ...(name.startsWith("gpt2") ? [] : ([["zero", 2]] as const)),
      ] as const) {
        const [own, theirs] = ["own", "theirs"].map((who) => join(root, `${name}-${depth}-${who}`));
        const plan = await ours(name, (layers) => ({ layers: layers + more }), { method: "fpi", depth }, own);
        const layers = plan.layers.map(({ from, fresh }) => (depth === "zero" ? [from, fresh] : from));
        jobs.push([source, theirs, layers]);
      }
    }
    merging?.run(scripts("others.py"), ["passthrough", JSON.stringify(jobs)]);
  });

  it.each(names)("puts the same layers of %s on each other, and silences the same", async (name) => {
    const made = jobs.filter(([source]) => source.endsWith(`/${name}`));
    expect(made.length).toBeGreaterThan(4);
    for (const [, theirs] of made) await expectSame(theirs.replace(/theirs$/, "own"), theirs);
  });
});

describe.skipIf(peer === undefined || cloning === undefined)("hypercloning", () => {
  it.each(["llama-groups", "llama-biases-wide-heads"])("makes the same of %s, its head its own", async (name) => {
    const [own, theirs] = ["own", "theirs"].map((who) => join(root, `${name}-cloned-${who}`));
    const {
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      ...config
    } = JSON.parse(readFileSync(join(root, "made", name, "config.json"), "utf8"));
    const { hidden_size: hidden, intermediate_size: ffn } = config;
    const sizes = { hidden: 2 * hidden, heads: 2 * heads, kvHeads: 2 * kvHeads, ffn: 2 * ffn };
    await ours(name, () => sizes, { method: "fpi" }, own);
    peer?.run(scripts("others.py"), ["hyperclone", cloning ?? "", join(root, "made", name), theirs]);
    await expectSame(own, theirs);
  });
});

describe.skipIf(peer === undefined || prts === undefined)("prts's bert2BERT", () => {
  it.each([
    [64, 3],
    [48, 6],
    [40, 3],
  ])("makes the same at a width of %i and a depth of %i", async (width, layers) => {
    const [source, theirs] = ["source", "theirs"].map((who) => join(root, `prts-${width}-${who}`));
    peer?.run(scripts("others.py"), ["bert2bert", prts ?? "", source, theirs, String(width), String(layers)]);
    const own = join(root, "made", `prts-${width}`);
    const opened = await openModel(source);
    const target = resizedModel(opened.model, { hidden: width, ffn: width, layers });
    await applyGrowth(planGrowth(opened.model, target, { method: "fpi", depth: "stack" }), opened, own, {
      dtype: "F32",
    });
    await opened.close();
    await expectSame(own, theirs);
  });
});
