/** From runs to the curves of a chart: which count lies along the horizontal axis, where stages begin. */
import type { Point, Series } from "./chart.ts";
import type { Curve, Flops, Progress } from "./data.ts";
import { compact, duration, flopsText, lossText } from "./format.ts";

/** A way to measure how far a run has come. */
export interface Axis {
  readonly key: string;
  /** As on a button. */
  readonly name: string;
  readonly title: string;
  value(progress: Progress): number | undefined;
  show(value: number): string;
}

export function axes(accounting: keyof Flops): readonly Axis[] {
  return [
    {
      key: "flops",
      name: "FLOPs",
      title: "FLOPs",
      value: (progress) => progress.flops[accounting],
      show: (value) => `${flopsText(value)} FLOPs`,
    },
    {
      key: "tokens",
      name: "Tokens",
      title: "tokens read",
      value: (progress) => progress.tokens,
      show: (value) => `${compact(value)} tokens`,
    },
    { key: "time", name: "Time", title: "seconds of training", value: (progress) => progress.seconds, show: duration },
  ];
}

/** Whether every point of these curves is measured along the axis. */
export function measures(axis: Axis, curves: readonly Curve[]): boolean {
  return curves.every((curve) =>
    [...curve.log, ...curve.evaluations].every((progress) => axis.value(progress) !== undefined),
  );
}

export function lossSeries(curve: Curve, colour: number, axis: Axis, training: boolean): Series {
  return {
    name: curve.name,
    colour,
    points: curve.evaluations.map((evaluation) => [axis.value(evaluation) ?? 0, evaluation.loss]),
    hints: curve.evaluations.map(
      (evaluation) =>
        `${curve.name}, step ${evaluation.step}: loss ${lossText(evaluation.loss)}, ${axis.show(axis.value(evaluation) ?? 0)}`,
    ),
    faint: training ? thinned(curve.log.map((point) => [axis.value(point) ?? 0, point.loss])) : undefined,
    marks: curve.stages.slice(1).map((stage) => ({ x: at(curve, stage.start, axis), label: stage.name })),
  };
}

/** How far along the axis a run was after so many steps, linear between the points around it. */
export function at(curve: Curve, step: number, axis: Axis): number {
  const known = [...curve.log, ...curve.evaluations]
    .map((progress) => ({ step: progress.step, value: axis.value(progress) ?? 0 }))
    .sort((a, b) => a.step - b.step);
  let before = { step: 0, value: 0 };
  for (const point of known) {
    if (point.step >= step) {
      const share = point.step === before.step ? 1 : (step - before.step) / (point.step - before.step);
      return before.value + share * (point.value - before.value);
    }
    before = point;
  }
  return before.value;
}

/** At most `most` points: neighbours are averaged, so that a long log neither weighs the page down nor hides its shape. */
export function thinned(points: readonly Point[], most = 600): readonly Point[] {
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, i) => {
    const group = points.slice(Math.floor((i * points.length) / most), Math.floor(((i + 1) * points.length) / most));
    const sum = group.reduce(([x, y], [px, py]): Point => [x + px, y + py], [0, 0]);
    return [sum[0] / group.length, sum[1] / group.length];
  });
}
