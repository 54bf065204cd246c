/** Runs watched: the page that is served while one goes on, in a real browser where there is one; the report; CSV. */
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { readMetrics } from "../../src/train/run/metrics.ts";
import { serveRuns, watchedRun } from "../../src/train/watch.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { inProcess } from "../cli/bad-input/support.ts";
import { temporaryFolder } from "../support.ts";
import { bertConfig, writeData, writeRun } from "./data.ts";

const folder = temporaryFolder();
const keys = "model: {init: config.json}\ndata: {from: data}\nobjective: mlm\nbatch: {sequences: 4}\nlog: {every: 2}\n";
const more = "optimizer: {lr: 0.001}\nevaluate: {every: 4}\n";
const out = join(folder, "run");

beforeAll(async () => {
  await writeData(join(folder, "data"));
  const run = await writeRun(folder, bertConfig, `${keys}${more}out: run\nsteps: 12\n`);
  expect(await inProcess(["pretrain", run])).toMatchObject({ code: 0 });
});

const get = (url: string, host?: string) =>
  new Promise<{ status: number | undefined; body: string; policy: string }>((resolve, reject) => {
    request(url, { headers: host === undefined ? {} : { host } }, (response) => {
      let body = "";
      response.on("data", (part) => {
        body += part;
      });
      const policy = String(response.headers["content-security-policy"]);
      response.on("end", () => resolve({ status: response.statusCode, body, policy }));
    })
      .on("error", reject)
      .end();
  });

const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** The page as a browser has it after some seconds. */
async function browsed(url: string): Promise<string> {
  if (chromium === undefined) throw new Error("there is no browser");
  const words = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=6000", "--dump-dom", url];
  const profile = `--user-data-dir=${temporaryFolder()}`;
  return (await promisify(execFile)(chromium, [profile, ...words], { maxBuffer: 2 ** 26 })).stdout;
}

describe("the page of runs", () => {
  it("has nothing from outside, answers this machine alone, and shows what the metrics say", async () => {
    const page = await serveRuns([out, join(folder, "not-yet")], 0);
    try {
      const { status, body, policy } = await get(page.url);
      expect(status).toBe(200);
      expect(body).not.toMatch(/(src|href)=|url\((?!#)|@import/);
      expect(policy).toMatch(/^default-src 'none';.*connect-src 'self'$/);
      const last = (await readMetrics(join(out, "metrics.jsonl"))).at(-1);
      expect(body).toContain(`<dd>${last?.step} of 12</dd>`);
      for (const title of ["Learning rate", "Gradient norm", "Tokens a second", "Loss"]) expect(body).toContain(title);
      expect((await get(`${page.url}content`)).body).toMatch(/^<h1>run<\/h1>/);
      expect((await get(page.url, "evil.example")).status).toBe(403);
      expect((await get(`${page.url}../../etc/passwd`)).status).toBe(404);
    } finally {
      page.close();
    }
  });

  it.skipIf(chromium === undefined)("renews itself in a browser while a run goes on", async () => {
    const run = await writeRun(join(folder), bertConfig, `${keys}${more}out: long\nsteps: 100000\n`);
    const main = join(packageRoot(), "dist", "cli", "main.js");
    const child = spawn(process.execPath, [main, "pretrain", run, "--serve", "--beside", out], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    try {
      const url = await new Promise<string>((resolve, reject) => {
        let said = "";
        child.stderr.on("data", (part) => {
          said += part;
          const found = /watch it at (\S+)/.exec(said)?.[1];
          if (found !== undefined) resolve(found);
        });
        child.on("exit", () => reject(new Error(said)));
      });
      const steps = async () => Number(/<dd>(\d+) of 100000<\/dd>/.exec(await browsed(url))?.[1] ?? 0);
      let first = 0;
      while (first === 0) first = await steps();
      const dom = await browsed(url);
      expect(dom).toContain("Runs side by side");
      expect(dom).toContain("Time left");
      expect(await steps()).toBeGreaterThan(first);
    } finally {
      child.removeAllListeners("exit");
      child.kill("SIGKILL");
    }
  });

  it("tells where a run stands", async () => {
    const { facts } = await watchedRun(out);
    expect(Object.fromEntries(facts)).toMatchObject({ Step: "12 of 12", "Time left": "finished" });
  });
});

describe("report", () => {
  it("writes a page of several runs, and CSV of every value", async () => {
    const file = join(folder, "page.html");
    expect(await inProcess(["report", out, out, "--out", file])).toMatchObject({ code: 0, stdout: `${file}\n` });
    expect(readFileSync(file, "utf8")).not.toMatch(/<script|(src|href)=|url\((?!#)/);
    const { stdout } = await inProcess(["report", out, "--csv"]);
    const [head, ...rows] = stdout
      .trim()
      .split("\n")
      .map((row) => row.split(","));
    const lines = await readMetrics(join(out, "metrics.jsonl"));
    expect(rows.length).toBe(lines.length);
    for (const [i, line] of lines.entries()) {
      const value = (column: string) => Number(rows[i][head.indexOf(column)] || Number.NaN);
      expect(value("step")).toBe(line.step);
      if ("loss" in line) expect(value("train/loss")).toBe(line.loss);
      else expect(value("validation/loss")).toBe(line.evaluation.loss);
    }
  });
});
