/** The examples of docs/scale.md: what they are told is what a run takes, and each can be planned on one machine. */
import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { architectureOf } from "../../src/model/architectures.ts";
import { parameterCount } from "../../src/model/table.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, temporaryFolder } from "../support.ts";
import { gpt2Config, writeRun } from "./data.ts";

const examples = join(packageRoot(), "docs", "examples", "scale");
const page = readFileSync(join(packageRoot(), "docs", "scale.md"), "utf8");
const folder = temporaryFolder();
await writeRun(folder, gpt2Config, "");

test.each(["one-gpu", "eight-gpus", "cluster", "tpu"])("%s.yaml is planned", (name) => {
  copyFileSync(join(examples, `${name}.yaml`), join(folder, `${name}.yaml`));
  const { code, stdout, stderr } = cli(["plan", join(folder, `${name}.yaml`), "--speed", "1000"]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
  expect(stdout).toContain("100000 (");
  expect(stdout.includes("each keeps")).toBe(name !== "one-gpu");
});

test("a mesh's share: `fsdp` splits what is kept, and gathers it; every gradient is added up", () => {
  const share = (mesh: string, ...sets: readonly string[]) => {
    const path = join(folder, "eight-gpus.yaml");
    const all = [`engine.mesh=${mesh}`, ...sets].flatMap((set) => ["--set", set]);
    return JSON.parse(cli(["plan", path, "--speed", "1000", "--json", ...all]).stdout).share;
  };
  const [data, fsdp] = [share("{data: 8}"), share("{fsdp: 8}")];
  const model = architectureOf(gpt2Config, "a test").model(gpt2Config, "a test");
  const bytes = 4 * parameterCount(model.parameters);
  const matrices = 4 * parameterCount(model.parameters.filter(({ dims }) => dims.length > 1));
  const counts = 4 * model.parameters.length;
  expect(data).toEqual({ devices: 8, kept: 3 * bytes + counts, gathered: 0, reduced: bytes });
  expect(fsdp.kept).toBe(3 * (bytes - matrices + matrices / 8) + counts);
  expect(fsdp.reduced).toBe(bytes);
  // Products read bf16; what is looked up is gathered once, in f32, the tied matrix too.
  const looked =
    4 * parameterCount(model.parameters.filter(({ group, dims }) => group === "embedding" && dims.length > 1));
  expect(fsdp.gathered).toBe((matrices - looked) / 2 + looked);
  expect(share("{fsdp: 8}", "batch.accumulate=4")).toEqual({
    ...fsdp,
    ...{ kept: (fsdp.kept * 4) / 3, gathered: 4 * fsdp.gathered, reduced: 4 * bytes },
  });
});

test("a cluster's run is not waited for", () => {
  copyFileSync(join(examples, "cluster.yaml"), join(folder, "cluster.yaml"));
  const { code, stdout } = cli(["plan", join(folder, "cluster.yaml")]);
  expect(code).toBe(0);
  expect(stdout).toContain("no step was run: it takes several processes, and this is one");
});

test("what a pod of the JobSet is told is a run's setting", async () => {
  const { spec } = parse(readFileSync(join(examples, "jobset.yaml"), "utf8"));
  const [job] = spec.replicatedJobs;
  const { parallelism, template } = job.template.spec;
  const [{ command, ports }] = template.spec.containers;
  const set = /--set "(.*)"$/.exec(command[2])?.[1] ?? "";
  const told = spawnSync("sh", ["-c", `printf %s "${set}"`], { env: { JOB_COMPLETION_INDEX: "1" }, encoding: "utf8" });
  const { settings } = await loadRun(join(examples, "cluster.yaml"), [told.stdout]);
  const { options } = settings.engine;
  expect(options?.hosts).toEqual({
    coordinator: `bert2bert-run-0-0.bert2bert:${ports[0].containerPort}`,
    processes: parallelism,
    process: 1,
  });
});

test("the scripts are shell, and the page names every file", async () => {
  for (const name of readdirSync(examples)) {
    expect(page).toContain(`examples/scale/${name}`);
    if (name.endsWith(".sh")) expect(spawnSync("sh", ["-n", join(examples, name)]).status).toBe(0);
  }
  const [, block] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const short = parse(readFileSync(join(examples, "one-gpu.yaml"), "utf8"));
  const { settings } = await loadRun({ ...short, ...parse(block) });
  expect(settings.engine.options).toEqual({
    mesh: { data: 2, fsdp: 8 },
    hosts: { coordinator: "10.0.0.1:8476", processes: 2, process: 0 },
  });
});
