/** A model on tasks that need no training: all of them with one model in memory, each example's scores kept where asked. */
import { page, tableOf, text } from "../report/html.ts";
import { writeFileWhole } from "../store/files.ts";
import { suggestion, UserError } from "../util/errors.ts";
import { isJsonObject, type Json } from "../util/json.ts";
import { multipleChoice } from "./choices.ts";
import { lambada } from "./lambada.ts";
import { type UseOptions, withLanguageModel } from "./model.ts";
import { blimp, minimalPairs } from "./pairs.ts";
import { perplexity } from "./perplexity.ts";
import { Scorer, type ScorerOptions } from "./score.ts";
import type { Task } from "./task.ts";

const tasks: readonly Task[] = [blimp, lambada, perplexity, minimalPairs, multipleChoice];

/** The figure that a task is judged by, a perplexity where nothing is right or wrong; undefined: there is no such task. */
export function headlineOf(name: string): string | undefined {
  if (!tasks.some((task) => task.name === name)) return undefined;
  return name === perplexity.name ? "token" : "accuracy";
}

export interface TasksOptions extends UseOptions, ScorerOptions {
  /** A file for each example's scores, JSON Lines. */
  readonly items?: string;
  /** A file for the page. */
  readonly report?: string;
}

/** @param asked `NAME=PATH` each @returns each task's figures by its name @throws UserError */
export async function evaluateTasks(
  folder: string,
  asked: readonly string[],
  options: TasksOptions = {},
): Promise<Readonly<Record<string, Json>>> {
  const chosen = asked.map((words) => {
    const [, name, path] = /^([^=]*)=?(.*)$/s.exec(words) ?? [];
    const task = tasks.find((known) => known.name === name);
    const names = tasks.map((known) => known.name);
    if (task === undefined) throw new UserError(`there is no task \`${name}\``, "--task", suggestion(name, names));
    if (path === "") throw new UserError(`\`${words}\` names no file`, "--task", `write ${name}=PATH`);
    return { task, path };
  });
  const twice = chosen.find(({ task }, i) => chosen.findIndex((other) => other.task === task) < i);
  if (twice !== undefined) throw new UserError(`${twice.task.name} is given twice`, "--task", "name each task once");
  return withLanguageModel(folder, options, async (lm) => {
    const cant = chosen.find(({ task }) => !lm.causal && task.causalOnly !== undefined)?.task;
    if (cant !== undefined) {
      const what = `the model is a masked one, and ${cant.name} is for causal models: ${cant.causalOnly}`;
      throw new UserError(what, folder, "leave it out; blimp, minimal-pairs and multiple-choice go with both");
    }
    const figures: Record<string, Json> = {};
    const items: Json[] = [];
    const scorer = new Scorer(lm, options);
    for (const { task, path } of chosen) {
      const result = await task.run(path, scorer);
      figures[task.name] = result.figures;
      items.push(...result.items.map((item, i) => ({ task: task.name, item: i, ...item })));
    }
    if (options.items !== undefined) {
      await writeFileWhole(options.items, items.map((item) => `${JSON.stringify(item)}\n`).join(""));
    }
    if (options.report !== undefined) await writeFileWhole(options.report, reportOf(folder, figures));
    return figures;
  });
}

/** A task's figures as rows of a name and a value, those of groups below it. */
export function rowsOf(figures: Json): readonly (readonly [string, string])[] {
  return Object.entries(figures).flatMap(([name, value]): readonly (readonly [string, string])[] => {
    if (typeof value === "number") return [[name, Number.isInteger(value) ? String(value) : value.toPrecision(5)]];
    if (!isJsonObject(value)) return [];
    return Object.entries(value).map(([inner, one]) => {
      const { accuracy = 0, items = 0 } = isJsonObject(one) ? one : {};
      return [`  ${inner}`, `${Number(accuracy).toFixed(4)} of ${items}`];
    });
  });
}

function reportOf(folder: string, figures: Readonly<Record<string, Json>>): string {
  const tables = Object.entries(figures).map(([name, own]) =>
    tableOf({ caption: name, columns: ["", "value"], rows: rowsOf(own).map((row) => [...row]) }),
  );
  return page(`${folder} on tasks`, `<h1>Tasks without training</h1>\n<p>${text(folder)}</p>\n${tables.join("\n")}`);
}
