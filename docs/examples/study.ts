/**
 * A study with a growth method and a plan of one's own. In a clone, after `npm run build`:
 * `npx tsc -p docs/examples && node dist/examples/study.js STUDY.yaml`
 */
import { loadStudy, runStudy, type StudyResults, writeResults } from "bert2bert";
import { calm } from "./calm.ts";
import { topDown } from "./top-down.ts";

/** Runs what is missing and writes study.json, study.md and report.html. */
export async function compare(path: string): Promise<StudyResults> {
  const study = await loadStudy(path);
  const state = await runStudy(study, {
    growthMethods: [calm],
    plans: [topDown],
    begin: (cell, done, all) => console.error(`${cell.title} (${done} of ${all} runs done)`),
  });
  const { data, table } = await writeResults(state);
  console.log(table);
  return data;
}

if (/\bstudy\.[jt]s$/.test(process.argv[1] ?? "")) await compare(process.argv[2]);
