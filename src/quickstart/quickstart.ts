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
import { type OpenModel, openModel } from "../model/load.ts";
import { parameterCount } from "../model/table.ts";
import { textInputs } from "../probe/text.ts";
import { type Verification, verifyGrowth } from "../probe/verify.ts";
import { renderComparisonReport } from "../report/comparison.ts";
import { flopsText, lossText } from "../report/format.ts";
import type { Saving } from "../report/saving.ts";
import { writeFileWhole } from "../store/files.ts";
import { linesOf } from "../tasks/rows.ts";
import { sample } from "../tasks/sample.ts";
import { estimateRun } from "../train/estimate.ts";
import { pretrain } from "../train/pretrain.ts";
import { loadRun } from "../train/run/settings.ts";
import type { RunProgress, RunResult } from "../train/trainer.ts";
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

export interface QuickstartResult {
  readonly report: string;
  /** The model folders left behind, for transformers or for going on. */
  readonly models: Readonly<Record<"small" | "grown" | "large" | "scratch", string>>;
  readonly losses: { readonly small: number; readonly grown: number; readonly scratch: number };
  /** Of the grown model against the one from scratch, in counted FLOPs. */
  readonly saving: Saving;
  /** What the large model says after the beginnings of a few texts, the beginnings included. */
  readonly samples: readonly string[];
}

/**
 * @throws UserError if `out` holds something else, or the corpus does not serve: then nothing is left of it
 * @throws Interrupted after saving
 */
export async function quickstart(options: QuickstartOptions): Promise<QuickstartResult> {
  try {
    return await wholeWay(options);
  } catch (error) {
    if (error instanceof UserError) await forgetText(options.out, options.corpus ?? []);
    throw error;
  }
}

async function wholeWay(options: QuickstartOptions): Promise<QuickstartResult> {
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

  const end = special.eos ?? vocabulary - 1;
  const run = async (
    name: string,
    yaml: (steps: number) => string,
    steps: () => Promise<number>,
  ): Promise<RunResult> => {
    const path = at(`${name}.yaml`);
    if (!existsSync(path)) await writeFileWhole(path, yaml(await steps()));
    return pretrain(await loadRun(path), { stopped: options.stopped, progress: options.progress });
  };
  const config = async (name: string, width: number) => {
    const text = JSON.stringify(modelConfig(settings, width, vocabulary, end), null, 2);
    if (!existsSync(at(name))) await writeFileWhole(at(name), `${text}\n`);
  };
  await mkdir(at("runs"), { recursive: true });

  step("A small model", "Somebody's existing checkpoint; here it is trained on the spot.");
  await config("small.json", settings.small);
  const fromScratch = (name: string, words: string) => (steps: number) =>
    runYaml(settings, {
      out: `runs/${name}`,
      model: `{init: ${name}.json, tokenizer: tokenizer}`,
      plan: "full",
      steps,
      words,
    });
  const small = await run("small", fromScratch("small", "The small model."), async () => settings.smallSteps);
  const smallLoss = lossOf(small);
  say(
    `validation loss ${lossText(smallLoss)} after ${small.steps} steps (guessing: ${lossText(Math.log(vocabulary))})`,
  );
  check();

  step(
    "Growing it, exactly",
    "FPI copies units and divides the weights that read them. At twice the width the grown model must compute the same.",
  );
  const twice = at("grown-exact");
  const exact = await growAndVerify(small.model, twice, "fpi", 2 * settings.small, corpus[0]);
  for (const line of verificationLines(exact.verification)) say(line);
  if (!exact.verification.kept) throw new Error("the growth by FPI does not keep the function: this is a defect");
  check();

  step(
    "Growing it for training",
    "AKI fills the new units from the layer above, so that they are not mere copies. Its outputs move; it learns faster.",
  );
  const grownFolder = at("grown");
  const grown = await growAndVerify(small.model, grownFolder, "aki", settings.large, corpus[0]);
  say(
    `${settings.small} → ${settings.large} wide, ${grown.from.toLocaleString("en")} → ${grown.to.toLocaleString("en")} parameters`,
  );
  for (const line of verificationLines(grown.verification)) say(line);
  check();

  step("The large model from scratch", "What there is to beat: the same size from random weights.");
  await config("scratch.json", settings.large);
  const scratch = await run(
    "scratch",
    fromScratch("scratch", "The large model from scratch."),
    async () => settings.steps,
  );
  say(`validation loss ${lossText(lossOf(scratch))} after ${scratch.steps} steps`);
  check();

  step(
    "The grown model, in two stages",
    "First parts of the network, which costs less a step; then all of it. The budget of FLOPs is the scratch model's.",
  );
  const [from, plan] = ["{from: grown}", `{two-stage: {block: ${settings.block}, share: ${settings.share}}}`];
  const words = "The grown model in two stages, as many steps as the scratch model's FLOPs allow.";
  const large = await run(
    "grown",
    (steps) => runYaml(settings, { out: "runs/grown", model: from, plan, steps, words }),
    () => equalBudget(at("scratch.yaml"), from, plan, settings.steps),
  );
  say(`validation loss ${lossText(lossOf(large))} after ${large.steps} steps`);

  const { data: comparison, saving } = await comparisonOf({
    settings,
    corpus: given === undefined ? "stories from a grammar" : corpus.map((path) => basename(path)).join(", "),
    tokens: tokens.train,
    vocabulary,
    runs: { small: at("runs", "small"), grown: at("runs", "grown"), scratch: at("runs", "scratch") },
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
    await sample(at("runs", "grown", "model"), given === undefined ? await beginnings(corpus[0]) : ["", "", ""], drawn)
  ).map(({ prompt, text }) => (prompt + text).replaceAll(/\s+/g, " ").trim());
  for (const text of samples) say(text);
  return {
    samples,
    report,
    models: {
      small: at("runs", "small", "model"),
      grown: grownFolder,
      large: at("runs", "grown", "model"),
      scratch: at("runs", "scratch", "model"),
    },
    losses: { small: smallLoss, grown: lossOf(large), scratch: lossOf(scratch) },
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

function lossOf(run: RunResult): number {
  if (run.evaluation === undefined) throw new Error(`${run.folder} was not evaluated`);
  return run.evaluation.loss;
}

async function countTokens(data: string, settings: QuickstartSettings, given: readonly string[] | undefined) {
  const dataset = await openDataset(data);
  try {
    const { train, validation } = dataset.info;
    const least = settings.length * settings.sequences;
    if (train.tokens < least || validation.tokens < settings.length) {
      throw new UserError(
        `the corpus is too small: ${train.tokens} tokens to train on and ${validation.tokens} held out`,
        given?.join(", ") ?? data,
        "give more text, with a blank line between documents",
      );
    }
    return { train: train.tokens, validation: validation.tokens };
  } finally {
    dataset.close();
  }
}

interface Grown {
  readonly verification: Verification;
  /** Parameters before and after. */
  readonly from: number;
  readonly to: number;
}

async function growAndVerify(from: string, out: string, method: string, hidden: number, text: string): Promise<Grown> {
  const source = await openModel(from);
  try {
    if (!existsSync(out)) {
      await applyGrowth(
        planGrowth(source.model, resizedModel(source.model, { hidden }), { method, moments: "drop" }),
        source,
        out,
      );
    }
    const grown = await openModel(out);
    try {
      return {
        verification: await verified(source, grown, out, text),
        from: parameterCount(source.model.parameters),
        to: parameterCount(grown.model.parameters),
      };
    } finally {
      await grown.close();
    }
  } finally {
    await source.close();
  }
}

async function verified(source: OpenModel, grown: OpenModel, out: string, text: string): Promise<Verification> {
  const inputs = await textInputs(source.model, await openTokenizer(source.folder), text);
  const open = () => openEngine({ kind: "auto", threads: availableParallelism(), precision: "f32" });
  return verifyGrowth(source, grown, await readRecord(out), inputs, open);
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
