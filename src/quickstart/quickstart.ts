/**
 * The whole way once, in a few minutes: a corpus, a tokenizer, a small model, a grown one, the grown one and a scratch
 * one on the same budget, and what was saved. METHOD: Chen et al., bert2BERT (ACL 2022), at a toy's size.
 *
 * Every step is what a command does (`tokenizer train`, `prepare`, `pretrain`, `grow`, `verify`) and leaves what that
 * command leaves. A step whose result stands is not done again, so it can be stopped and started at any time.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, join, resolve } from "node:path";
import { openDataset } from "../data/prepared/dataset.ts";
import { prepare } from "../data/prepared/prepare.ts";
import { openTokenizer } from "../data/tokenizer/tokenizer.ts";
import { trainTokenizer } from "../data/tokenizer/train.ts";
import { openEngine } from "../engine/engines.ts";
import { applyGrowth } from "../growth/apply.ts";
import { planGrowth, resizedModel } from "../growth/plan.ts";
import { readRecord } from "../growth/record.ts";
import { openModel } from "../model/load.ts";
import { parameterCount } from "../model/table.ts";
import { textInputs } from "../probe/text.ts";
import { type Verification, verifyGrowth } from "../probe/verify.ts";
import { renderComparisonReport } from "../report/comparison.ts";
import { flopsText, lossText } from "../report/format.ts";
import { writeFileWhole } from "../store/files.ts";
import { linesOf } from "../tasks/rows.ts";
import { sample } from "../tasks/sample.ts";
import { estimateRun } from "../train/estimate.ts";
import { pretrain } from "../train/pretrain.ts";
import { loadRun } from "../train/run/settings.ts";
import type { RunProgress } from "../train/trainer.ts";
import { keeping } from "../util/closing.ts";
import { Interrupted, UserError } from "../util/errors.ts";
import { packageVersion } from "../util/paths.ts";
import { comparisonOf } from "./comparison.ts";
import { forgetText, openFolder } from "./folder.ts";
import { modelConfig, type QuickstartSettings, quickstartSettings, runYaml } from "./settings.ts";
import { generateStories } from "./stories.ts";

export interface QuickstartOptions {
  readonly out: string;
  /** Text files to use in place of the stories. */
  readonly corpus?: readonly string[];
  /** Default: what fits into a few minutes on two cores. */
  readonly settings?: QuickstartSettings;
  /** A heading: what happens next, and why. */
  readonly step?: (title: string, why: string) => void;
  /** A result, one sentence. */
  readonly say?: (text: string) => void;
  readonly progress?: (progress: RunProgress) => void;
  readonly stopped?: () => "SIGINT" | "SIGTERM" | undefined;
}

export type QuickstartResult = Awaited<ReturnType<typeof quickstart>>;

/**
 * @throws UserError if `out` holds something else, or the corpus does not serve: then nothing is left of it
 * @throws Interrupted after saving
 */
export async function quickstart(options: QuickstartOptions) {
  try {
    return await wholeWay(options);
  } catch (error) {
    if (error instanceof UserError) await forgetText(options.out, options.corpus ?? []);
    throw error;
  }
}

async function wholeWay(options: QuickstartOptions) {
  const settings = options.settings ?? quickstartSettings;
  const { step = () => {}, say = () => {} } = options;
  const out = options.out;
  const given = options.corpus?.map((path) => resolve(path));
  const origin = { version: packageVersion(), corpus: given ?? "stories", settings: { ...settings } };
  const again = await openFolder(out, origin, given ?? []);
  if (again) say("What is done already is taken as it is.");
  const at = (...parts: string[]) => join(out, ...parts);
  const check = () => {
    const signal = options.stopped?.();
    if (signal !== undefined) throw new Interrupted(signal, "what is done is kept; the same command goes on from here");
  };

  step("A corpus", "A language model learns from text.");
  const corpus = given ?? [at("corpus.txt")];
  if (given === undefined && !existsSync(corpus[0])) {
    await writeFileWhole(corpus[0], generateStories({ seed: settings.seed, stories: settings.stories }));
  }
  say(
    given === undefined
      ? `${settings.stories.toLocaleString("en")} short stories from a grammar: ${corpus[0]}`
      : `Yours: ${corpus.map((path) => basename(path)).join(", ")}`,
  );

  step("A tokenizer", "A model reads numbers: it needs a vocabulary of word pieces.");
  const tokenizer = at("tokenizer");
  if (!existsSync(tokenizer)) {
    await trainTokenizer({ paths: corpus, out: tokenizer, kind: "bpe", vocabulary: settings.vocabulary });
  }
  check();
  const data = at("data");
  if (!existsSync(data)) {
    await prepare({ paths: corpus, tokenizer, out: data, length: settings.length, validation: settings.validation });
  }
  const { vocabulary, special } = (await openTokenizer(tokenizer)).info;
  const tokens = await countTokens(data, settings, given);
  say(
    `${vocabulary.toLocaleString("en")} entries; ${tokens.train.toLocaleString("en")} tokens to train on, ${tokens.validation.toLocaleString("en")} held out to measure with`,
  );
  check();

  const run = async (name: string, model: string, plan: string, steps: () => Promise<number>, words: string) => {
    const path = at(`${name}.yaml`);
    if (!existsSync(path)) {
      const yaml = runYaml(settings, { out: `runs/${name}`, model, plan, steps: await steps(), words });
      await writeFileWhole(path, yaml);
    }
    const { stopped, progress } = options;
    const result = await pretrain(await loadRun(path), { stopped, progress });
    if (result.evaluation === undefined) throw new Error(`${result.folder} was not evaluated`);
    return {
      steps: result.steps,
      loss: result.evaluation.loss,
      folder: at("runs", name),
      model: at("runs", name, "model"),
    };
  };
  const fromScratch = async (name: string, width: number, steps: number, words: string) => {
    const config = modelConfig(settings, width, vocabulary, special.eos ?? vocabulary - 1);
    const path = at(`${name}.json`);
    if (!existsSync(path)) await writeFileWhole(path, `${JSON.stringify(config, null, 2)}\n`);
    return run(name, `{init: ${name}.json, tokenizer: tokenizer}`, "full", async () => steps, words);
  };
  await mkdir(at("runs"), { recursive: true });

  step("A small model", "Somebody's existing checkpoint; here it is trained on the spot.");
  const small = await fromScratch("small", settings.small, settings.smallSteps, "The small model.");
  const guessing = lossText(Math.log(vocabulary));
  say(`validation loss ${lossText(small.loss)} after ${small.steps} steps (guessing: ${guessing})`);
  check();

  step(
    "Growing it, exactly",
    "FPI copies units and divides the weights that read them. At twice the width the grown model must compute the same.",
  );
  const exact = await growAndVerify(small.model, at("grown-exact"), "fpi", 2 * settings.small, corpus[0]);
  for (const line of verificationLines(exact.verification)) say(line);
  if (!exact.verification.kept) throw new Error("the growth by FPI does not keep the function: this is a defect");
  check();

  step(
    "Growing it for training",
    "AKI fills the new units from the layer above, so that they are not mere copies. Its outputs move; it learns faster.",
  );
  const grown = await growAndVerify(small.model, at("grown"), "aki", settings.large, corpus[0]);
  const [before, after] = [grown.from, grown.to].map((count) => count.toLocaleString("en"));
  say(`${settings.small} → ${settings.large} wide, ${before} → ${after} parameters`);
  for (const line of verificationLines(grown.verification)) say(line);
  check();

  step("The large model from scratch", "What there is to beat: the same size from random weights.");
  const scratch = await fromScratch("scratch", settings.large, settings.steps, "The large model from scratch.");
  say(`validation loss ${lossText(scratch.loss)} after ${scratch.steps} steps`);
  check();

  step(
    "The grown model, in two stages",
    "First parts of the network, which costs less a step; then all of it. The budget of FLOPs is the scratch model's.",
  );
  const [from, plan] = ["{from: grown}", `{two-stage: {block: ${settings.block}, share: ${settings.share}}}`];
  const budget = () => equalBudget(at("scratch.yaml"), from, plan, settings.steps);
  const words = "The grown model in two stages, as many steps as the scratch model's FLOPs allow.";
  const large = await run("grown", from, plan, budget, words);
  say(`validation loss ${lossText(large.loss)} after ${large.steps} steps`);

  const { data: comparison, saving } = await comparisonOf({
    settings,
    corpus: given === undefined ? "stories from a grammar" : corpus.map((path) => basename(path)).join(", "),
    tokens: tokens.train,
    vocabulary,
    runs: { small: small.folder, grown: large.folder, scratch: scratch.folder },
    stages: await stagesOf(at("grown.yaml")),
    parameters: { small: grown.from, large: grown.to },
    verifications: [
      [`FPI, ${settings.small} → ${2 * settings.small}`, exact.verification],
      [`AKI, ${settings.small} → ${settings.large}`, grown.verification],
    ],
  });
  const report = at("report.html");
  await writeFileWhole(report, renderComparisonReport(comparison));
  // The page's data, for other pictures.
  await writeFileWhole(at("report.json"), `${JSON.stringify(comparison)}\n`);
  step("A few sentences", "What the grown model has learnt, in its own words.");
  const drawn = { tokens: SAMPLED, topK: 40, temperature: 0.7, seed: settings.seed };
  const samples = (
    await sample(large.model, given === undefined ? await beginnings(corpus[0]) : ["", "", ""], drawn)
  ).map(({ prompt, text }) => (prompt + text).replaceAll(/\s+/g, " ").trim());
  for (const text of samples) say(text);
  return {
    /** What the large model says after the beginnings of a few texts, the beginnings included. */
    samples,
    report,
    /** The model folders left behind, for transformers or for going on. */
    models: { small: small.model, grown: at("grown"), large: large.model, scratch: scratch.model },
    losses: { small: small.loss, grown: large.loss, scratch: scratch.loss },
    /** Of the grown model against the one from scratch, in counted FLOPs. */
    saving,
  };
}

/** Tokens that are added to a beginning. */
const SAMPLED = 40;

/** The first words of the corpus's first texts. */
async function beginnings(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { text } of linesOf(path)) {
    found.push(text.split(" ").slice(0, 3).join(" ").slice(0, 40));
    if (found.length === 3) break;
  }
  return found;
}

/** What was saved, in words. */
export function savingWords({ saving, losses }: QuickstartResult): string {
  if (saving.coarse)
    return "The grown model got to the other's final loss between evaluations too far apart to say where.";
  if (saving.reuse === null || saving.reached === null) {
    return `Nothing was saved: the grown model ended at ${lossText(losses.grown)} and did not reach ${lossText(losses.scratch)}, where the one from scratch ended.`;
  }
  const to = `to the loss where scratch ends, ${lossText(saving.target)}: ${flopsText(saving.reached)} of ${flopsText(saving.reference)} FLOPs`;
  const share = `${Math.abs(saving.reuse * 100).toFixed(1)} %`;
  const words = `The grown model needed ${share} ${saving.reuse >= 0 ? "less" : "more"} ${to}.`;
  if (saving.allIn === null) return words;
  const all = `${Math.abs(saving.allIn * 100).toFixed(1)} % ${saving.allIn >= 0 ? "less" : "more"}`;
  return `${words}\nWith the small model's own training charged to it: ${all}.`;
}

async function countTokens(data: string, settings: QuickstartSettings, given: readonly string[] | undefined) {
  const dataset = await openDataset(data);
  dataset.close();
  const { train, validation } = dataset.info;
  if (train.tokens >= settings.length * settings.sequences && validation.tokens >= settings.length) {
    return { train: train.tokens, validation: validation.tokens };
  }
  const what = `the corpus is too small: ${train.tokens} tokens to train on and ${validation.tokens} held out`;
  throw new UserError(what, given?.join(", ") ?? data, "give more text, with a blank line between documents");
}

/** Grows, unless that is done, and compares on a text. */
async function growAndVerify(folder: string, out: string, method: string, hidden: number, text: string) {
  await using keep = keeping();
  const source = keep(await openModel(folder));
  if (!existsSync(out)) {
    const target = resizedModel(source.model, { hidden });
    await applyGrowth(planGrowth(source.model, target, { method, moments: "drop" }), source, out);
  }
  const grown = keep(await openModel(out));
  const inputs = await textInputs(source.model, await openTokenizer(source.folder), text);
  const open = () => openEngine({ kind: "auto", threads: availableParallelism(), precision: "f32" });
  const verification = await verifyGrowth(source, grown, await readRecord(out), inputs, open);
  const [from, to] = [source, grown].map(({ model }) => parameterCount(model.parameters));
  return { verification, from, to };
}

function verificationLines({ allowed, differences, kept }: Verification): string[] {
  const logits = differences.find((difference) => difference.name === "logits");
  if (logits === undefined) return [];
  const share = `largest difference of a logit: ${logits.share.toExponential(1)} of the largest logit`;
  if (allowed === undefined) return [`${share}; this method promises nothing here`];
  return [`${share}; at most ${allowed.toExponential(0)} is promised: ${kept ? "kept" : "broken"}`];
}

/** Steps of the grown model's plan whose FLOPs are those of the scratch run. */
async function equalBudget(scratchYaml: string, model: string, plan: string, steps: number): Promise<number> {
  const budget = (await estimateRun(await loadRun(scratchYaml, ["out=runs/estimate"]))).flops.exact;
  const sets = ["out=runs/estimate", `model=${model}`, `plan=${plan}`, `steps=${steps}`];
  const planned = (await estimateRun(await loadRun(scratchYaml, sets))).flops.exact;
  return Math.floor((steps * budget) / planned);
}

/** Where the stages of a run begin. */
async function stagesOf(yaml: string): Promise<{ readonly name: string; readonly start: number }[]> {
  let start = 0;
  return (await estimateRun(await loadRun(yaml))).stages.map(({ name, steps }) => {
    const mark = { name: name === "full" ? "whole network" : name, start };
    start += steps;
    return mark;
  });
}
