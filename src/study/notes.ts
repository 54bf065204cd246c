/** What a study's figures depend on, said with numbers. */
import { lossText, percent } from "../report/format.ts";
import type { StudyResults } from "../report/study-data.ts";

export function notes(results: StudyResults, unigramLoss: number | undefined): readonly string[] {
  const list: string[] = [];
  const scratch = results.methods.find((method) => method.reference);
  const run = scratch?.runs.find((one) => one.diverged === undefined);
  const { source, budget, accounting } = results;
  if (scratch?.final.mean != null && run !== undefined) {
    const final = scratch.final.mean;
    const third = run.evaluations.filter((point) => point.flops[accounting] <= budget.flops[accounting] / 3).at(-1);
    if (third !== undefined) {
      const plateau =
        unigramLoss === undefined
          ? ""
          : ` Knowing how often each token occurs, and no more, gives ${lossText(unigramLoss)}: it is ${lossText(Math.abs(unigramLoss - third.loss))} ${third.loss < unigramLoss ? "below" : "above"} that.`;
      list.push(
        `After a third of its budget ${scratch.label} stands at ${lossText(third.loss)} (it began at ${lossText(run.evaluations[0].loss)} and ends at ${lossText(final)}).${plateau}`,
      );
    }
    if (source !== null) {
      const below = source.loss - final;
      list.push(
        below > 0
          ? `${capital(scratch.label)} ends ${lossText(below)} below the source's own final loss of ${lossText(source.loss)}.`
          : `${capital(scratch.label)} ends ${lossText(-below)} above the source's own final loss of ${lossText(source.loss)}: these savings measure little but the source's head start.`,
      );
    }
    for (const { label, trials, rate } of results.methods) {
      const rates = trials.map((trial) => trial.rate).sort((a, b) => a - b);
      if (rate === null || rates.length < 2 || (rate !== rates[0] && rate !== rates[rates.length - 1])) continue;
      list.push(`The best rate of ${label}, ${rate}, is at the edge of those it tried: a better one may lie beyond.`);
    }
    const most = Math.max(...results.methods.map((method) => method.trials.length));
    if (scratch.trials.length < most) {
      const more = results.methods.filter((method) => method.trials.length > scratch.trials.length);
      list.push(
        `${capital(scratch.label)} tried ${scratch.trials.length} peak rate${scratch.trials.length > 1 ? "s" : ""}, ${more.map((method) => method.label).join(", ")} up to ${most}: that favours the latter.`,
      );
    }
  }
  const ratios = results.methods.flatMap((method) =>
    method.runs
      .filter((one) => one.diverged === undefined)
      .map((one) => (one.evaluations.at(-1)?.flops[accounting] ?? 0) / budget.flops[accounting]),
  );
  if (ratios.length > 0) {
    list.push(
      `One budget for all: each plan's last decay ends there; the runs spent ${percent(Math.min(...ratios))} to ${percent(Math.max(...ratios))} of it (sub-models are drawn, steps are whole).`,
    );
  }
  const single = results.methods.filter((method) => !method.reference && method.runs.length === 1);
  if (single.length > 0) list.push(`One seed only: ${single.map((method) => method.label).join(", ")}.`);
  if (source !== null)
    list.push(
      "All seeds grow the same source; growth, batches and masks differ between them, the validation's masks do not.",
    );
  return list;
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
