/** Made-up runs that exercise the pages: no result of anything. */
import type { ComparedRun, ComparisonReportData, Curve, EvaluationPoint, LogPoint } from "../../src/report/data.ts";
import { RandomStream } from "../../src/util/random.ts";

export interface Shape {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** The share of the budget in which most of the way is gone. */
  readonly pace: number;
  readonly stage2?: number;
}

const STEPS = 400;
const FLOPS = 8e9;

export function curve(shape: Shape, seed = 1): Curve {
  const random = new RandomStream(seed, shape.name);
  const loss = (step: number) => shape.to + (shape.from - shape.to) * Math.exp(-step / STEPS / shape.pace);
  const progress = (step: number) => ({
    step,
    tokens: step * 2048,
    flops: { exact: step * FLOPS, paper: step * FLOPS * 1.1 },
    seconds: step * 0.2,
  });
  const log = Array.from({ length: STEPS / 4 }, (_, i): LogPoint => {
    const step = (i + 1) * 4;
    return {
      ...progress(step),
      loss: loss(step) + 0.1 * random.normal(i),
      rate: 1e-3 * Math.min(step / 20, 1 - step / (STEPS + 1)),
      gradientNorm: 1 + Math.abs(random.normal(1000 + i)),
      tokensPerSecond: 10_240,
    };
  });
  const evaluations = Array.from({ length: 21 }, (_, i): EvaluationPoint => {
    const step = (i * STEPS) / 20;
    return { ...progress(step), loss: loss(step), accuracy: 0.2 + step / 1000 };
  });
  const stages = [{ name: "stage 1: parts of the network", start: 0 }];
  if (shape.stage2 !== undefined) stages.push({ name: "stage 2: all of it", start: shape.stage2 });
  return { name: shape.name, log, evaluations, stages };
}

export function comparison(): ComparisonReportData {
  const runs: ComparedRun[] = [
    { ...curve({ name: "from scratch", from: 7.6, to: 2.9, pace: 0.3 }), reference: true },
    {
      ...curve({ name: "grown, two stages", from: 4.4, to: 2.6, pace: 0.3, stage2: 50 }),
      spentBefore: { exact: FLOPS * 100, paper: FLOPS * 110 },
      about: "AKI at 1.5 × the width",
    },
    { ...curve({ name: "grown, at once <FPI>", from: 4.2, to: 2.8, pace: 0.32 }) },
  ];
  return {
    title: "Growing a small model against starting anew",
    lead: ["Made-up curves, to look at the page.", "A second paragraph & its <escapes>."],
    runs,
    accounting: "exact",
    tables: [{ caption: "Models", columns: ["Model", "Layers", "Width"], rows: [["small", "2", "64"]] }],
    facts: [["Corpus", "2.1 MB"]],
    listings: [{ title: "run.yaml", text: "steps: 400 # <tag>\n" }],
  };
}
