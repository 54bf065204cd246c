/** What a study will run, before it does: its runs with what each costs. Nothing runs and nothing is written. */
import { existsSync } from "node:fs";
import { bothCounts, type FlopsSoFar } from "../train/step/terms.ts";
import { cellFolder } from "./build.ts";
import type { RunCell } from "./cells.ts";
import { runsIn, type StudyState } from "./run.ts";

export type Schedule = ReturnType<typeof scheduleOf>;

/** @param speed in GFLOP/s; default: that of the runs with a record, else 100 */
export function scheduleOf(state: StudyState, only?: readonly string[], speed?: number) {
  const reckoned = speed ?? measuredSpeed(state) ?? 100;
  const trunks = new Set<string>();
  const runs = runsIn(state, only).map(({ cell, record }) => {
    const { title, id, steps } = cell;
    const flops = ownFlops(cell, trunks);
    return {
      title,
      /** Its name under `cells/` and in the records. */
      cell: id,
      ...{ done: record !== undefined, begun: existsSync(cellFolder(state.study, cell)), steps, flops },
      /** Reckoned; of a run that was begun, for all of it. */
      seconds: flops.exact / (reckoned * 1e9),
    };
  });
  const left = runs.filter((run) => !run.done);
  const sum = (of: (run: (typeof runs)[number]) => number) => left.reduce((total, run) => total + of(run), 0);
  return {
    runs,
    /** Seeds that come when their method's rate is chosen. */
    waiting: Object.fromEntries(state.waiting),
    left: {
      runs: left.length,
      flops: bothCounts((count) => sum((run) => run.flops[count])),
      seconds: sum((run) => run.seconds),
    },
    /** GFLOP/s that times are reckoned with. */
    speed: reckoned,
  };
}

/** Of a branch, what comes after its trunk; the first of a trunk's branches makes the trunk as well. */
function ownFlops({ flops, start }: RunCell, trunks: Set<string>): FlopsSoFar {
  if (!("trunk" in start)) return flops;
  const { key, steps, flops: whole } = start.trunk;
  const shared = trunks.has(key) ? start.step / steps : start.step / steps - 1;
  trunks.add(key);
  return bothCounts((count) => flops[count] - shared * whole[count]);
}

function measuredSpeed(state: StudyState): number | undefined {
  const ends = runsIn(state).flatMap(({ record }) => record?.evaluations.at(-1) ?? []);
  const seconds = ends.reduce((sum, end) => sum + end.seconds, 0);
  return seconds > 0 ? ends.reduce((sum, end) => sum + end.flops.exact, 0) / seconds / 1e9 : undefined;
}
