/**
 * Run folders looked at from outside, while they are written or later: where each stands, its curves, its metrics as a
 * table; and a page of them, served on this machine alone.
 */
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join, resolve } from "node:path";
import { compact, duration, lossText } from "../report/format.ts";
import { renderWatch, type WatchedRun, watchContent } from "../report/watch.ts";
import { UserError } from "../util/errors.ts";
import { errorCode } from "../util/system.ts";
import { curveOf } from "./report.ts";
import { scalarsOf } from "./run/events.ts";
import { metricsFile, modelFolder, storedRun } from "./run/folder.ts";
import { isEvaluation, type MetricsLine, readMetrics } from "./run/metrics.ts";

/** @throws UserError if a folder holds no run */
export async function watchedRun(folder: string, name = basename(resolve(folder))): Promise<WatchedRun> {
  const lines = await linesOf(folder);
  const settings = await storedRun(folder);
  const starts = new Map<string, number>();
  for (const [i, line] of lines.entries()) {
    if (!starts.has(line.stage)) starts.set(line.stage, lines[i - 1]?.step ?? 0);
  }
  const stages = [...starts].map(([stage, start]) => ({ name: stage, start }));
  const last = lines.at(-1);
  const trained = lines.filter((line) => !isEvaluation(line)).at(-1);
  const evaluated = lines.filter(isEvaluation).at(-1)?.evaluation;
  const steps = stepsOf(settings, last);
  const left = existsSync(join(folder, modelFolder)) ? 0 : secondsLeft(lines, steps);
  const facts: [string, string | undefined][] = [
    ["Step", last && `${last.step}${steps === undefined ? "" : ` of ${steps}`}`],
    ["Stage", last?.stage],
    ["Tokens", last && compact(last.tokens)],
    ["Loss", trained && "loss" in trained ? lossText(trained.loss) : undefined],
    ["Validation loss", evaluated && lossText(evaluated.loss)],
    ["Tokens a second", trained && "rate" in trained ? compact(trained.tokens_per_second) : undefined],
    ["Time left", left === undefined ? undefined : left === 0 ? "finished" : duration(left)],
  ];
  return {
    ...curveOf(name, lines, stages),
    facts: facts.flatMap(([label, value]) => (value === undefined ? [] : [[label, value] as const])),
    symmetry: lines.flatMap((line) => {
      const known = isEvaluation(line) ? (line.symmetry ?? []).filter((value) => value !== null) : [];
      return known.length === 0
        ? []
        : [[line.step, known.reduce((sum, value) => sum + value, 0) / known.length] as const];
    }),
  };
}

/** Metrics of runs as one table: a row a line, a column a value, those that a line lacks empty. @throws UserError */
export async function metricsCsv(folders: readonly string[]): Promise<string> {
  const rows: Readonly<Record<string, string | number>>[] = [];
  for (const run of folders) {
    for (const line of await linesOf(run)) {
      rows.push({ run, step: line.step, stage: line.stage, seconds: line.seconds, ...scalarsOf(line) });
    }
  }
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value: string | number = "") =>
    /[",\n]/.test(`${value}`) ? `"${`${value}`.replaceAll('"', '""')}"` : `${value}`;
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))]
    .map((row) => `${row.map((value) => cell(value)).join(",")}\n`)
    .join("");
}

/** Its metrics. @throws UserError if a folder holds no run */
export async function linesOf(folder: string): Promise<readonly MetricsLine[]> {
  if (!existsSync(join(folder, metricsFile))) {
    const what = `it is no run: there is no ${metricsFile}`;
    throw new UserError(what, folder, "name a run's folder (`out` of its RUN.yaml)");
  }
  return readMetrics(join(folder, metricsFile));
}

function stepsOf(settings: unknown, last: MetricsLine | undefined): number | undefined {
  if (typeof settings !== "object" || settings === null) return undefined;
  if ("steps" in settings && typeof settings.steps === "number") return settings.steps;
  const perStep = last === undefined || last.step === 0 ? Number.NaN : last.tokens / last.step;
  if (!("tokens" in settings && typeof settings.tokens === "number") || !(perStep > 0)) return undefined;
  return Math.ceil(settings.tokens / perStep);
}

/** By the speed of the last lines. */
function secondsLeft(lines: readonly MetricsLine[], steps: number | undefined): number | undefined {
  const [from, to] = [lines.at(-10) ?? lines.at(0), lines.at(-1)];
  if (steps === undefined || from === undefined || to === undefined || to.step <= from.step) return undefined;
  return Math.max(1, ((steps - to.step) * (to.seconds - from.seconds)) / (to.step - from.step));
}

/**
 * Serves a page of runs on 127.0.0.1. Folders that hold no run yet are left out until they do.
 * @param port 0: one that is free @throws UserError if it is taken
 */
export async function serveRuns(folders: readonly string[], port: number): Promise<{ url: string; close(): void }> {
  const server = createServer(async (request, response) => {
    // A page from elsewhere that had its name point here must not read it.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? "")) {
      response.writeHead(403).end();
      return;
    }
    const part = request.url === "/content";
    if (!part && request.url !== "/") {
      response.writeHead(404).end();
      return;
    }
    try {
      const runs: WatchedRun[] = [];
      for (const folder of folders) if (existsSync(join(folder, metricsFile))) runs.push(await watchedRun(folder));
      response.writeHead(200, {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy":
          "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
        "Cache-Control": "no-store",
      });
      response.end(part ? watchContent(runs) : renderWatch(runs, true));
    } catch {
      // A line is being written: the next request finds it whole.
      response.writeHead(503).end();
    }
  });
  await new Promise<void>((ready, failed) => {
    server.once("error", failed).listen(port, "127.0.0.1", ready);
  }).catch((error: unknown) => {
    if (errorCode(error) !== "EADDRINUSE" && errorCode(error) !== "EACCES") throw error;
    const what = `port ${port} can't be had (${errorCode(error)})`;
    throw new UserError(what, "--serve", "name another, or 0 for any that is free");
  });
  const at = server.address();
  const actual = typeof at === "object" && at !== null ? at.port : port;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${actual}/`, close };
}
