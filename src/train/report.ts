/** `report.html` of a run folder, drawn from its metrics. */
import { join } from "node:path";
import { writeFileWhole } from "../store/files.ts";
import type { Stage } from "./plan/stage.ts";
import { metricsFile, reportFile } from "./run/folder.ts";
import { isEvaluation, type MetricsLine, readMetrics } from "./run/metrics.ts";

/** The run's curve as reports take it. */
export function curveOf(name: string, lines: readonly MetricsLine[], stages: readonly Pick<Stage, "name" | "start">[]) {
  return {
    name,
    log: lines.flatMap((line) =>
      isEvaluation(line)
        ? []
        : // Of two terms the language model's is drawn: evaluations' losses are that too.
          [
            {
              ...line,
              loss: line.terms?.mlm ?? line.loss,
              gradientNorm: line.gradient_norm,
              tokensPerSecond: line.tokens_per_second,
            },
          ],
    ),
    evaluations: lines.flatMap((line) =>
      isEvaluation(line) ? [{ ...line, loss: line.evaluation.loss, accuracy: line.evaluation.accuracy }] : [],
    ),
    stages: stages.map(({ name, start }) => ({ name, start })),
  };
}

/** Writes the report of a run. @param settings run.yaml as resolved @param engine what it ran on */
export async function writeRunReport(
  folder: string,
  stages: readonly Stage[],
  engine: string,
  settings: string,
): Promise<void> {
  const { renderRunReport } = await import("../report/run.ts");
  const curve = curveOf("the run", await readMetrics(join(folder, metricsFile)), stages);
  const plan = stages.map(({ name, start, end }) => `${name} (steps ${start + 1}–${end})`).join(", ");
  const facts: [string, string][] = [
    ["stages", plan],
    ["engine", engine],
  ];
  const html = renderRunReport({
    title: "Pre-training run",
    facts,
    curve,
    listings: [{ title: "run.yaml", text: settings }],
  });
  await writeFileWhole(join(folder, reportFile), html);
}
