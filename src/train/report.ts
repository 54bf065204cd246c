/** `report.html` of a run folder, drawn from its metrics. */
import { join } from "node:path";
import type { Model } from "../model/architecture.ts";
import { parameterCount } from "../model/table.ts";
import { compact, duration } from "../report/format.ts";
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

/** What a reader wants to know of a run first. */
export interface ReportedRun {
  readonly model: Model;
  readonly data: string;
  readonly objective: string;
  readonly rate: string;
  /** Every engine that it ran on. */
  readonly engines: readonly string[];
}

/** Writes the report of a run. @param settings run.yaml as resolved */
export async function writeRunReport(
  folder: string,
  stages: readonly Stage[],
  settings: string,
  { model, data, objective, rate, engines }: ReportedRun,
): Promise<void> {
  const { renderRunReport } = await import("../report/run.ts");
  const lines = await readMetrics(join(folder, metricsFile));
  const plan = stages.map(({ name, start, end }) => `${name} (steps ${start + 1}–${end})`).join(", ");
  const { layers, hidden, heads, ffn } = model.dimensions;
  const last = lines.at(-1);
  const facts: [string, string][] = [
    ["Model", `${model.architecture.type}, ${layers} layers, ${hidden} wide, ${heads} heads, FFN ${ffn}`],
    ["Parameters", parameterCount(model.parameters).toLocaleString("en")],
    ["Data", data],
    ["Objective", objective],
    ["Learning rate", rate],
    ["Stages", plan],
    ...(last === undefined || last.seconds === 0
      ? []
      : ([
          ["Time spent training", duration(last.seconds)],
          ["Tokens a second", compact(last.tokens / last.seconds)],
        ] as const)
    ).map(([label, value]): [string, string] => [label, value]),
    [engines.length > 1 ? "Engines, in turn" : "Engine", engines.join("; ")],
  ];
  const html = renderRunReport({
    title: "Pre-training run",
    facts,
    curve: curveOf("the run", lines, stages),
    listings: [{ title: "run.yaml", text: settings }],
  });
  await writeFileWhole(join(folder, reportFile), html);
}
