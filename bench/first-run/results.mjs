/**
 * What a first run found: the curves of its three runs as an SVG file, and the tables of docs/results/first-run.md.
 *
 *   npm run -s build && node bench/first-run/results.mjs OUT gpt2 docs/results/first-run-gpt2.svg
 */
import { join } from "node:path";
import { comparisonPicture, savingsOf } from "../../dist/report/comparison.js";
import { writeFileWhole } from "../../dist/store/files.js";
import { curveOf } from "../../dist/train/report.js";
import { isEvaluation, readMetrics } from "../../dist/train/run/metrics.js";

const [out, kind, picture] = process.argv.slice(2);

async function run(name, folder) {
  const lines = await readMetrics(join(out, folder, "metrics.jsonl"));
  const stages = [];
  for (const line of lines) {
    if (isEvaluation(line) || stages.at(-1)?.name === line.stage) continue;
    // A stage's first line is logged an interval after its start.
    const before = lines.filter((other) => other.stage !== line.stage && other.step < line.step).at(-1);
    stages.push({ name: line.stage, start: before?.step ?? 0 });
  }
  return curveOf(name, lines, stages);
}

const source = await run("source", "source");
const scratch = { ...(await run("from scratch", "scratch")), reference: true };
const grown = { ...(await run("grown, two stages", "two-stage")), spentBefore: source.evaluations.at(-1).flops };
const data = {
  title: `The first run on real text: ${kind}`,
  lead: [],
  runs: [scratch, grown],
  accounting: "exact",
  tables: [],
  facts: [],
  listings: [],
};
await writeFileWhole(picture, comparisonPicture(data));

const number = (value) => value.toFixed(3);
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);
row("run", "loss at the start", "loss at the end", "perplexity", "accuracy", "FLOPs", "training, s");
row("---", "--:", "--:", "--:", "--:", "--:", "--:");
for (const one of [source, scratch, grown]) {
  const [first, last] = [one.evaluations[0], one.evaluations.at(-1)];
  const accuracy = `${(100 * last.accuracy).toFixed(1)} %`;
  const flops = last.flops.exact.toExponential(3);
  row(
    one.name,
    number(first.loss),
    number(last.loss),
    Math.exp(last.loss).toFixed(1),
    accuracy,
    flops,
    last.seconds.toFixed(0),
  );
}
console.log("");
row("evaluation", ...[source, scratch, grown].flatMap((one) => [`${one.name}: step`, "FLOPs", "loss"]));
row("---", ...Array(9).fill("--:"));
for (let i = 0; i < scratch.evaluations.length; i++) {
  const cells = [source, scratch, grown].flatMap((one) => {
    const at = one.evaluations[i];
    return at === undefined ? ["", "", ""] : [at.step, at.flops.exact.toExponential(2), number(at.loss)];
  });
  row(i, ...cells);
}
const saved = savingsOf(data)[1];
console.log(`\nsaving: ${JSON.stringify(saved)}`);
for (const { name, start } of grown.stages) console.log(`stage ${name} after step ${start}`);
