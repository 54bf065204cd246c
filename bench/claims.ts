/**
 * `npm run claims`: from the studies under docs/results (study.json) the cells that advice rests on (grid.json), and what
 * papers claim beside what was measured here (claims.md). The same studies give the same bytes.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { settingText } from "../src/advise/advise.ts";
import type { GridCell } from "../src/advise/grid.ts";
import { type Claim, claims } from "../src/advise/literature.ts";
import { savingsByBudget } from "../src/report/fair.ts";
import { percent } from "../src/report/format.ts";
import type { Spread, StudyMethodResult, StudyResults } from "../src/report/study-data.ts";
import { markdownTable } from "../src/report/table.ts";
import { writeFileWhole } from "../src/store/files.ts";
import { packageRoot } from "../src/util/paths.ts";
import { type MeasuredSaving, surfacePicture, surfaceTable } from "./surface.ts";

type Saving = GridCell["reuse"];

/** A study's cells: of each method one a budget, where both have branches, else one by the crossing. */
export function cellsOf(study: string, results: StudyResults): readonly GridCell[] {
  const { setting, accounting, methods } = results;
  const scratch = methods.find((method) => method.reference);
  if (setting === undefined || scratch === undefined) return [];
  const { from: _, tokens, ...common } = setting;
  return methods.flatMap((method): GridCell[] => {
    if (!grows(method, results)) return [];
    const made = (over: number, measure: GridCell["measure"], own: Saving, charged: Saving): GridCell[] => {
      const [reuse, allIn] = method.grown ? [own, charged] : [null, own];
      if (reuse === null && allIn === null) return [];
      const { name, label, begins: from = common.to } = method;
      return [
        {
          study,
          method: name,
          ...(label === name ? {} : { label }),
          ...common,
          from,
          tokens: over,
          reuse,
          allIn,
          measure,
        },
      ];
    };
    const budgets = savingsByBudget(results, method);
    if (budgets.length > 0) {
      return budgets.flatMap(({ tokens, saving }) => made(tokens, "annealed", saving.reuse, saving.allIn));
    }
    const spread = method.savings?.[accounting];
    return made(tokens, "crossing", plain(spread?.reuse), plain(spread?.allIn));
  });
}

/** Neither the reference nor another schedule of it. */
function grows({ begins }: StudyMethodResult, { setting }: StudyResults): boolean {
  return begins !== undefined && setting !== undefined && begins.parameters < setting.to.parameters;
}

function plain(spread: Spread | null | undefined): Saving {
  return spread?.mean == null ? null : { mean: spread.mean, low: null, high: null };
}

/** The table of claims.md, a row a claim and study, and one a method that no paper speaks of. */
export function claimsTable(studies: readonly (readonly [name: string, StudyResults])[]): string {
  const used = new Set<StudyMethodResult>();
  const rows = claims.flatMap((claim) => {
    const found = studies.flatMap(([name, results]) => {
      const method = results.methods.find((one) => one.name === claim.method);
      if (method === undefined || results.setting?.architecture !== claim.architecture) return [];
      used.add(method);
      return [row(claim, name, results, method)];
    });
    return found.length > 0 ? found : [[...claimed(claim), "not measured yet", "not measured yet", ""]];
  });
  const others = studies.flatMap(([name, results]) =>
    results.methods.flatMap((method) =>
      !grows(method, results) || used.has(method) ? [] : [row(undefined, name, results, method)],
    ),
  );
  const head = ["method", "paper", "its claim", "counted", "by the crossing", "at equal annealed loss", "study, size"];
  return [head, head.map(() => "---"), ...rows, ...others].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function claimed({ method, title, url, saving, says, counts }: Claim): readonly string[] {
  return [method, `[${title}](${url})`, `${percent(saving)}: ${says}`, counts];
}

/** Both counts of a figure: the source being free, and everything charged. */
function row(claim: Claim | undefined, study: string, results: StudyResults, method: StudyMethodResult) {
  const { accounting, setting } = results;
  const both = (reuse: string | undefined, allIn: string | undefined) =>
    method.grown
      ? [reuse, allIn && `all-in ${allIn}`].filter((text) => text !== undefined).join(", ")
      : reuse && `all-in ${reuse}`;
  const crossing = method.savings?.[accounting];
  const fair = method.fair?.[accounting];
  const mean = (figure: { readonly mean: number | null } | null | undefined) =>
    figure?.mean == null ? undefined : percent(figure.mean);
  return [
    ...(claim === undefined ? [method.name, "–", "–", "–"] : claimed(claim)),
    both(mean(crossing?.reuse), mean(crossing?.allIn)) || "no figure",
    both(mean(fair?.reuse), mean(fair?.allIn)) ||
      ((method.annealed ?? []).length === 0 ? "not measured yet" : "no figure"),
    `${study}: ${setting === undefined ? "" : settingText({ ...setting, from: method.begins ?? setting.from })}`,
  ];
}

/** The cells of one count, as the surface takes them. */
function measuredOf(cells: readonly GridCell[], of: "reuse" | "allIn"): readonly MeasuredSaving[] {
  return cells.flatMap(({ from, to, tokens, study, method, label, ...cell }) => {
    const saving = cell[of]?.mean;
    if (saving === undefined) return [];
    const [growth, perParameter] = [to.parameters / from.parameters, tokens / to.parameters];
    return [{ growth, tokens: perParameter, saving, words: `${label ?? method}, ${study}` }];
  });
}

export async function write(folder: string): Promise<void> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (name) => basename(name) === "study.json",
  );
  const studies = names.sort().map((name) => {
    const results: StudyResults = JSON.parse(readFileSync(join(folder, name), "utf8"));
    return [dirname(name).replaceAll("\\", "/"), results] as const;
  });
  const cells = studies.flatMap(([name, results]) => cellsOf(name, results));
  const lines = cells.map((cell) => JSON.stringify(cell));
  await writeFileWhole(join(folder, "grid.json"), `{"format": 1, "cells": [\n${lines.join(",\n")}\n]}\n`);
  const panels = [
    { name: "The source being free", measured: measuredOf(cells, "reuse") },
    { name: "Everything charged", measured: measuredOf(cells, "allIn") },
  ];
  const title = "What the best method measured saved";
  await writeFileWhole(join(folder, "grid.svg"), `${surfacePicture("grid", title, panels)}\n`);
  const text = `# What is claimed, and what was measured

Savings of the FLOPs that training the target from scratch takes. A paper's count: \`reuse\` takes the source as free, \`all-in\`
charges everything. Measured here, on small networks: by the crossing of scratch's final loss, as most papers do, and at equal
annealed loss, each run decayed to its own end ([the fair measure](../studies.md#the-fair-measure)). «all-in» before a figure
charges the source's training, or is of a method that grows inside the run. \`npm run claims\` makes this page and
[grid.json](grid.json), which \`bert2bert advise\` reads, from the studies' \`study.json\`.

${claimsTable(studies)}

## The grid so far

What the best method measured saved, by the growth in parameters and the tokens a parameter of the target; a dash where nothing was
measured. Cells of other sizes stand at the nearest place, those further off than half as much again in none.

![Savings by growth and tokens a parameter](grid.svg)

${panels.map(({ name, measured }) => markdownTable(surfaceTable(name, measured)).replace("## ", "### ")).join("\n\n")}
`;
  await writeFileWhole(join(folder, "claims.md"), text);
}

if (process.argv[1]?.endsWith("run.mjs")) await write(process.argv[2] ?? join(packageRoot(), "docs", "results"));
