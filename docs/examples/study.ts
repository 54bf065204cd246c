/** A study with a growth method and a plan of one's own: `node study.ts STUDY.yaml`. */
import { loadStudy, runStudy, type StudyResults, writeResults } from "../../src/index.ts";
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

if (process.argv[1]?.endsWith("study.ts")) await compare(process.argv[2]);
