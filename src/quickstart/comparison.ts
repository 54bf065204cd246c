/** The quickstart's page from what its runs left: three curves, the growth's verification, sizes and settings. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Verification } from "../probe/verify.ts";
import { savingsOf } from "../report/comparison.ts";
import type { ComparedRun, ComparisonReportData, StageMark, Table } from "../report/data.ts";
import { compact } from "../report/format.ts";
import { tableBy } from "../report/table.ts";
import { curveOf } from "../train/report.ts";
import { metricsFile, runFile } from "../train/run/folder.ts";
import { readMetrics } from "../train/run/metrics.ts";
import type { QuickstartSettings } from "./settings.ts";

export interface QuickstartFacts {
  readonly settings: QuickstartSettings;
  readonly corpus: string;
  /** To train on. */
  readonly tokens: number;
  readonly vocabulary: number;
  /** Run folders. */
  readonly runs: Readonly<Record<"small" | "grown" | "scratch", string>>;
  /** Of the grown model's run. */
  readonly stages: readonly StageMark[];
  readonly parameters: { readonly small: number; readonly large: number };
  readonly verifications: readonly (readonly [name: string, verification: Verification])[];
}

export async function comparisonOf(facts: QuickstartFacts) {
  const { settings, runs } = facts;
  const small = await curve("the small model", runs.small);
  const spent = small.evaluations.at(-1)?.flops;
  const scratch: ComparedRun = {
    ...(await curve("from scratch", runs.scratch)),
    reference: true,
    about: "random weights, the whole network in every step",
  };
  const grown: ComparedRun = {
    ...(await curve("grown, two stages", runs.grown, facts.stages)),
    spentBefore: spent,
    about: `the small model widened by AKI, the bottom and top ${settings.block} layers in turn, then the whole network`,
  };
  const data: ComparisonReportData = {
    title: "Growing a small model against starting from scratch",
    lead: [
      `A GPT-2 of ${settings.layers} layers, ${settings.small} wide, was trained on ${facts.corpus}, grown to ${settings.large} wide and trained on. Beside it, a model of that size was trained from random weights on the same budget.`,
      "This is a toy, made in minutes to show the way once. What it saves at your size, on your text, is for you to measure.",
    ],
    runs: [scratch, grown],
    accounting: "exact",
    tables: [models(facts), verifications(facts)],
    facts: [
      ["Corpus", `${facts.corpus}, ${compact(facts.tokens)} tokens to train on`],
      ["Tokenizer", `byte-level BPE, ${facts.vocabulary.toLocaleString("en")} entries`],
      ["A step", `${settings.sequences} sequences of ${settings.length} tokens`],
      ["Optimizer", `AdamW, peak rate ${settings.rate}, linear decay`],
    ],
    listings: await Promise.all(
      (["small", "scratch", "grown"] as const).map(async (name) => ({
        title: `run.yaml: ${name}`,
        text: await readFile(join(runs[name], runFile), "utf8"),
      })),
    ),
  };
  const saving = savingsOf(data)[1];
  if (saving === null) throw new Error("the runs were not evaluated");
  return { data, saving };
}

async function curve(name: string, folder: string, stages: readonly StageMark[] = []): Promise<ComparedRun> {
  return curveOf(name, await readMetrics(join(folder, metricsFile)), stages);
}

function models({ settings, parameters, vocabulary }: QuickstartFacts): Table {
  const { layers, headWidth } = settings;
  const rows = (["small", "large"] as const).map((name) => ({ name, width: settings[name], count: parameters[name] }));
  return tableBy("Models", rows, [
    ["Model", ({ name }) => name],
    ["Layers", () => String(layers)],
    ["Hidden size", ({ width }) => String(width)],
    ["Heads", ({ width }) => String(width / headWidth)],
    ["Vocabulary", () => vocabulary.toLocaleString("en")],
    ["Parameters", ({ count }) => count.toLocaleString("en")],
  ]);
}

function verifications(facts: QuickstartFacts): Table {
  const rows = facts.verifications.flatMap(([growth, { allowed, differences, kept }]) =>
    differences.filter(({ name }) => name === "logits").map((one) => ({ growth, allowed, kept, ...one })),
  );
  return tableBy("What the growth kept, compared on the corpus's first lines", rows, [
    ["Growth", ({ growth }) => growth],
    ["Largest difference of a logit", ({ largest }) => largest.toExponential(1)],
    ["Share of the largest logit", ({ share }) => share.toExponential(1)],
    [
      "Promised",
      ({ allowed, kept }) =>
        allowed === undefined ? "nothing" : `at most ${allowed.toExponential(0)}: ${kept ? "kept" : "broken"}`,
    ],
  ]);
}
