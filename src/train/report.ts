/** `report.html` of a run folder, drawn from its metrics. */
import { join } from "node:path";
import type { Model } from "../model/architecture.ts";
import { parameterCount } from "../model/table.ts";
import { compact, duration } from "../report/format.ts";
import { writeFileWhole } from "../store/files.ts";
import type { Stage } from "./plan/stage.ts";
import { metricsFile, reportFile } from "./run/folder.ts";
import { isEvaluation, type MetricsLine, readMetrics } from "./run/metrics.ts";
import type { RunPlan } from "./run/setup.ts";
import type { Session } from "./saving.ts";

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

/** Writes the report of a run: what a reader wants to know of it first, then its curves. @param model that it ends with */
export async function writeRunReport(
  { settings, text, plan, dataset, facts: { engines } }: Omit<Session, "engine" | "metrics" | "start" | "position">,
  model: Model,
): Promise<void> {
  const { renderRunReport } = await import("../report/run.ts");
  const lines = await readMetrics(join(settings.out, metricsFile));
  const { batch, optimizer, schedule, out } = settings;
  const { train, length } = dataset.info;
  const stages = plan.stages.map(({ name, start, end }) => `${name} (steps ${start + 1}–${end})`).join(", ");
  const { layers, hidden, heads, ffn } = model.dimensions;
  const last = lines.at(-1);
  const facts: [string, string][] = [
    ["Model", `${model.architecture.type}, ${layers} layers, ${hidden} wide, ${heads} heads, FFN ${ffn}`],
    ["Parameters", parameterCount(model.parameters).toLocaleString("en")],
    ["Data", `${settings.data.from}, ${train.tokens.toLocaleString("en")} tokens to train on`],
    ["Objective", `${plan.objective}, ${batch.sequences * batch.accumulate} sequences of ${length} tokens a step`],
    ["Learning rate", `${optimizer.lr} at its peak, ${schedule.decay} decay`],
    ["Stages", stages],
  ];
  if (last !== undefined && last.seconds > 0) {
    facts.push(["Time spent training", duration(last.seconds)]);
    facts.push(["Tokens a second", compact(last.tokens / last.seconds)]);
  }
  facts.push([engines.length > 1 ? "Engines, in turn" : "Engine", engines.join("; ")]);
  const html = renderRunReport({
    title: "Pre-training run",
    facts,
    curve: curveOf("the run", lines, plan.stages),
    listings: [{ title: "run.yaml", text }],
  });
  await writeFileWhole(join(out, reportFile), html);
}

/** The model card's title and facts at the end of a run. @param metrics the path of its metrics */
export async function cardOf(
  metrics: string,
  { architecture }: Model,
  { steps, objective }: Pick<RunPlan, "steps" | "objective">,
  tokens: number,
) {
  const last = (await readMetrics(metrics)).filter(isEvaluation).at(-1)?.evaluation;
  const facts: [string, string][] = [
    ["steps", String(steps)],
    ["tokens", String(tokens)],
    ["objective", objective],
  ];
  if (last !== undefined) facts.push(["validation loss", last.loss.toFixed(4)]);
  const title = `${architecture.type} pre-trained by bert2bert`;
  return {
    title,
    facts,
    ...(last === undefined
      ? {}
      : { metrics: { loss: last.loss, perplexity: last.perplexity, accuracy: last.accuracy } }),
  };
}
