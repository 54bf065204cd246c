/** Runs side by side, finished or under way: what each is at, and their curves in the same pictures. */
import { chart, type Point, type Series } from "./chart.ts";
import { thinned } from "./curves.ts";
import type { Curve, Fact } from "./data.ts";
import { lossFigures } from "./figures.ts";
import { factList, hue, page, text } from "./html.ts";

export interface WatchedRun extends Curve {
  /** Where it stands. */
  readonly facts: readonly Fact[];
  /** Mean symmetry of the copies by step, for a model grown in width. */
  readonly symmetry: readonly Point[];
}

/** Takes the page's content anew every two seconds; what is opened or chosen there stays as it is. */
const REFRESH = `<script>setInterval(async () => {
  const answer = await fetch("content").catch(() => undefined);
  if (!answer?.ok) return;
  const main = document.querySelector("main");
  const on = [...main.querySelectorAll("input")].map((input) => input.checked);
  main.innerHTML = await answer.text();
  const now = main.querySelectorAll("input");
  if (now.length === on.length) now.forEach((input, i) => { input.checked = on[i]; });
}, 2000)</script>`;

/** The whole page. @param live whether it is served, and renews itself */
export function renderWatch(runs: readonly WatchedRun[], live: boolean): string {
  const html = page(runs.length === 1 ? runs[0].name : "Runs side by side", watchContent(runs));
  return live ? html.replace("</body>", `${REFRESH}</body>`) : html;
}

/** What stands in the page's `main`. */
export function watchContent(runs: readonly WatchedRun[]): string {
  const alone = runs.length === 1;
  const facts = runs.map(({ name, facts }, i) => {
    const title = alone ? "" : `<h2 style="color:${hue(i + 1)}">${text(name)}</h2>`;
    return title + factList(facts);
  });
  return [`<h1>${text(alone ? runs[0].name : "Runs side by side")}</h1>`, ...facts, runPictures(runs)].join("\n");
}

type Pictured = Omit<WatchedRun, "facts">;

/** Losses, and what else was measured along the steps. */
export function runPictures(runs: readonly Pictured[]): string {
  const drawn = runs.filter(({ log, evaluations }) => log.length + evaluations.length > 0);
  if (drawn.length === 0) return "<h2>Loss</h2>\n<p>Nothing has been measured yet.</p>";
  const figures = lossFigures({
    ...{ id: "loss", title: "Loss", curves: drawn, accounting: "exact", training: true },
    colours: drawn.map((run) => runs.indexOf(run) + 1),
    note:
      runs.length === 1
        ? "The bold line is the validation loss, the thin one the training loss."
        : "The bold lines are validation losses, the thin ones training losses.",
  });
  const small = [
    smallChart("rate", "Learning rate", runs, ({ log }) => log.map(({ step, rate }) => [step, rate])),
    smallChart("norm", "Gradient norm before clipping", runs, ({ log }) => log.map((at) => [at.step, at.gradientNorm])),
    smallChart("speed", "Tokens a second", runs, ({ log }) => log.map((at) => [at.step, at.tokensPerSecond ?? 0])),
    smallChart("symmetry", "Likeness of the copies", runs, ({ symmetry }) => symmetry),
  ];
  return `<h2>Loss</h2>\n${figures}\n<div class="small">${small.join("")}</div>`;
}

function smallChart(
  id: string,
  title: string,
  runs: readonly Pictured[],
  points: (run: Pictured) => readonly Point[],
): string {
  const series = runs.flatMap((run, i): Series[] => {
    const marks = run.stages.slice(1).map((stage) => ({ x: stage.start, label: "" }));
    const found = thinned(points(run));
    return found.length < 2 ? [] : [{ name: run.name, colour: i + 1, points: found, marked: false, marks }];
  });
  if (series.length === 0) return "";
  const values = series.flatMap((one) => one.points.map(([, y]) => y));
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const description = `${title} along the steps, at most ${Math.max(...values).toPrecision(3)}.`;
  const picture = chart({
    ...{ id, title, description, xTitle: "step", yTitle: "", series },
    y: [low, low === high ? 1 : high + (high - low) * 0.02],
    small: true,
    labels: false,
  });
  return `<section><h3>${text(title)}</h3>${picture}</section>`;
}
