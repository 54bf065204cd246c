/** The examples of docs/studies.md: they run, do what they say, are short, and stand in the page as they are. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { calm } from "../../docs/examples/calm.ts";
import { compare } from "../../docs/examples/study.ts";
import { evaluate } from "../../src/growth/recipe.ts";
import { loadStudy } from "../../src/study/settings.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { planOf, source } from "../growth/support.ts";
import { temporaryFolder } from "../support.ts";
import { studyYaml, writeStudy } from "./support.ts";

const page = readFileSync(join(packageRoot(), "docs", "studies.md"), "utf8");

it("a method and a plan of one's own run in a study", async () => {
  const path = await writeStudy(
    temporaryFolder(),
    studyYaml("  scratch:\n  own: {growth: {method: calm, options: {scale: 0.5}}, plan: {top-down: {share: 0.25}}}\n"),
  );
  const quiet = [vi.spyOn(console, "log"), vi.spyOn(console, "error")].map((spy) => spy.mockImplementation(() => {}));
  const results = await compare(path);
  for (const spy of quiet) spy.mockRestore();
  const [, own] = results.methods;
  expect(own.runs[0].costs.map(({ name, steps }) => [name, steps > 0])).toEqual([
    ["top 1", true],
    ["whole", true],
  ]);
  expect(own.runs[0].costs[0].flops.exact / own.runs[0].costs[0].steps).toBeLessThan(
    own.runs[0].costs[1].flops.exact / own.runs[0].costs[1].steps,
  );
});

it("the method keeps the source in the corner and draws the rest smaller", async () => {
  const from = await source("gpt2-tiny");
  const read = (name: string, start: number, count: number) => from.weights.readF32(name, start, count);
  const made = async (scale: string) => {
    const plan = await planOf("gpt2-tiny", { hidden: 96 }, { method: calm, options: { scale } });
    const planned = plan.parameters.find(({ parameter }) => parameter.kind.endsWith("wpe.weight"));
    if (planned === undefined) throw new Error("no position table");
    return evaluate(planned.weight, { read });
  };
  const [full, small] = [await made("1"), await made("0.25")];
  const old = await from.weights.readF32("transformer.wpe.weight");
  expect(small.subarray(0, 64)).toEqual(old.subarray(0, 64));
  for (let i = 64; i < 96; i++) expect(small[i]).toBe(Math.fround(full[i] * 0.25));
});

it("all are short, and stand in the page as they are", () => {
  for (const name of ["calm", "top-down", "study"]) {
    const example = readFileSync(join(packageRoot(), "docs", "examples", `${name}.ts`), "utf8");
    expect(page).toContain(`\`\`\`ts\n${example}\`\`\``);
    expect(example.split("\n").length).toBeLessThanOrEqual(40);
  }
});

it("the studies in the page and in bench/study are studies", async () => {
  const folder = temporaryFolder();
  const [first, methods] = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1]);
  const path = join(folder, "study.yaml");
  writeFileSync(path, first);
  expect((await loadStudy(path)).methods.map((method) => method.label)).toEqual([
    ...["from scratch", "AKI, two stages", "DirectCopy"],
  ]);
  writeFileSync(path, first.slice(0, first.indexOf("methods:")) + methods);
  expect((await loadStudy(path)).methods).toHaveLength(5);
  for (const name of ["gpt-mini", "bert-mini"]) {
    const study = await loadStudy(join(packageRoot(), "bench", "study", `${name}.yaml`));
    expect(study.methods.length).toBeGreaterThan(7);
  }
});
