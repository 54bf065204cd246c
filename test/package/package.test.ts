/**
 * The package as its users get it: packed by `npm pack` in a copy of the repository, installed from the tarball into an empty
 * folder with npm's own settings, then used from the command line, from JavaScript and from a strict TypeScript project.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { quickstartSettings } from "../../src/quickstart/settings.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";

const temporary = temporaryFolder();
const clone = join(temporary, "clone");
const user = join(temporary, "user");
const installed = join(user, "node_modules", "bert2bert");

// As a user's shell starts it: nothing of the npm that runs these tests.
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|node_options$|vitest)/i.test(name)),
);

function run(folder: string, command: string, args: readonly string[]): string {
  const done = spawnSync(command, args, {
    cwd: folder,
    env,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    shell: process.platform === "win32",
  });
  if (done.status !== 0) {
    throw new Error(
      `${command} ${args.join(" ")} ended with ${done.status ?? done.signal}\n${done.stdout}\n${done.stderr}`,
    );
  }
  return done.stdout;
}

function filesUnder(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function registryAnswers(): boolean {
  const asked = spawnSync("npm", ["view", "commander", "version"], { cwd: temporary, env, timeout: 60_000 });
  if (asked.status !== 0) console.warn("skipped: npm's registry does not answer, so nothing can be installed");
  return asked.status === 0;
}

describe.skipIf(!registryAnswers())("the tarball", () => {
  let packed: readonly string[] = [];
  let file: string;

  beforeAll(() => {
    for (const name of readdirSync(packageRoot())) {
      if (["node_modules", "dist", ".git", "runs", "quickstart"].includes(name)) continue;
      cpSync(join(packageRoot(), name), join(clone, name), { recursive: true });
    }
    symlinkSync(join(packageRoot(), "node_modules"), join(clone, "node_modules"), "junction");
    const before = readdirSync(join(packageRoot(), "node_modules", "onnxruntime-node"), { recursive: true }).length;
    const [tarball] = JSON.parse(run(clone, "npm", ["pack", "--json"]).replace(/^[^[{]*/, ""));
    packed = tarball.files.map(({ path }: { path: string }) => path);
    const after = readdirSync(join(packageRoot(), "node_modules", "onnxruntime-node"), { recursive: true }).length;
    expect(after).toBe(before);
    file = join(clone, tarball.filename);
    mkdirSync(user);
    run(user, "npm", ["install", "--no-audit", "--no-fund", file]);
  });

  it("carries what computes on a CPU, for each platform, and nothing else of onnxruntime-node", () => {
    const libraries = packed
      .filter((path) => path.includes("/napi-v6/"))
      .map((path) => path.replace("dist/vendor/onnxruntime-node/bin/napi-v6/", ""));
    const both = (place: string, library: string) => [`${place}/${library}`, `${place}/onnxruntime_binding.node`];
    expect([...libraries].sort()).toEqual(
      [
        both("darwin/arm64", "libonnxruntime.1.dylib"),
        both("linux/arm64", "libonnxruntime.so.1"),
        both("linux/x64", "libonnxruntime.so.1"),
        both("win32/arm64", "onnxruntime.dll"),
        both("win32/x64", "onnxruntime.dll"),
      ].flat(),
    );
  });

  it("is installed without a script that fetches anything, in at most 200 MB", () => {
    const { packages } = JSON.parse(readFileSync(join(user, "node_modules", ".package-lock.json"), "utf8"));
    const scripted = Object.keys(packages).filter((path) => packages[path].hasInstallScript === true);
    // koffi's only looks whether its prebuilt library is there, which is a package of its own.
    expect(scripted).toEqual(["node_modules/bert2bert", "node_modules/koffi"]);
    expect(existsSync(join(user, "node_modules", "onnxruntime-node"))).toBe(false);
    const bytes = filesUnder(join(user, "node_modules")).reduce((sum, path) => sum + statSync(path).size, 0);
    expect(bytes).toBeLessThan(200e6);
    expect(readdirSync(join(installed, "dist", "vendor", "onnxruntime-node", "bin", "napi-v6"))).toEqual([
      process.platform,
    ]);
  });

  it("runs its commands, the embedded engine included", () => {
    const engines = JSON.parse(run(user, "npx", ["--no-install", "bert2bert", "doctor", "--json"])).engines;
    const onnx = engines.find(({ kind }: { kind: string }) => kind === "onnx");
    expect(onnx).toMatchObject({ usable: true });
  });

  it("goes the whole way as a library, on the embedded engine", () => {
    const settings = { ...quickstartSettings, stories: 300, vocabulary: 400, smallSteps: 4, steps: 4 };
    const program = `
      import { openEngine, openModel, probe, quickstart, randomInputs } from "bert2bert";
      const { models } = await quickstart({ out: "quickstart", settings: ${JSON.stringify(settings)} });
      const open = await openModel(models.grown);
      const values = [];
      for (const kind of ["onnx", "reference"]) {
        const engine = await openEngine({ kind, threads: 1, precision: "f32" });
        const tensors = await probe(open.model, open.weights, randomInputs(open.model, 1), engine, { gradients: false });
        values.push(tensors.get("logits").data);
        await engine.close();
      }
      const [a, b] = values;
      console.log(Math.max(...a.map((x, i) => Math.abs(x - b[i]))) / Math.max(...b.map(Math.abs)));
    `;
    writeFileSync(join(user, "use.mjs"), program);
    expect(Number(run(user, process.execPath, ["use.mjs"]))).toBeLessThan(1e-5);
  });

  it.skipIf(process.platform === "win32")("begins the quickstart by npx in an empty folder", async () => {
    const empty = join(temporary, "empty");
    mkdirSync(empty);
    const words = ["--yes", "--package", file, "--", "bert2bert", "quickstart"];
    const child = spawn("npx", words, { cwd: empty, env, detached: true, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (data) => {
      said += data;
    });
    const ended = new Promise((resolve) => child.on("close", resolve));
    // Once it trains, all that it needs has been found; how it ends and carries on is tested elsewhere.
    const metrics = () =>
      readdirSync(empty, { recursive: true, encoding: "utf8" }).find((name) => /metrics\.jsonl$/.test(name));
    while (metrics() === undefined && child.exitCode === null) await sleep(200);
    if (child.exitCode === null) process.kill(-(child.pid ?? 0), "SIGKILL");
    await ended;
    expect(metrics(), said).toMatch(/^quickstart\/runs\//);
    expect(readdirSync(empty)).toEqual(["quickstart"]);
    expect(said).toMatch(/^1\. /m);
  });

  it("has types that hold in a strict project without skipLibCheck", () => {
    const names =
      "import * as all from 'bert2bert';\nexport const everything: Readonly<Record<string, unknown>> = all;\n";
    mkdirSync(join(user, "types"));
    writeFileSync(join(user, "types", "all.mts"), names);
    cpSync(join(packageRoot(), "docs", "examples", "library.ts"), join(user, "types", "library.mts"));
    writeFileSync(
      join(user, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { strict: true, module: "nodenext", target: "es2022", types: [], noEmit: true },
        include: ["types"],
      }),
    );
    const compiler = join(packageRoot(), "node_modules", "typescript", "bin", "tsc");
    expect(run(user, process.execPath, [compiler, "-p", "."])).toBe("");
  });
});
