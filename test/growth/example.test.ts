/** The example of docs/how-to/add-a-growth-method.md: it keeps what it promises, and the page shows it as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { freshInner } from "../../docs/examples/fresh-inner.ts";
import { evaluate } from "../../src/growth/recipe.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { fixtures } from "../support.ts";
import { measure, planOf, source } from "./support.ts";

it.each(fixtures)("keeps the function of %s in the FFN at any width, and in the stream at a multiple", async (name) => {
  const { hidden, ffn } = (await source(name)).model.dimensions;
  for (const sizes of [{ ffn: ffn + 31 }, { hidden: 2 * hidden, ffn: ffn + 300 }]) {
    const result = await measure(name, sizes, { method: freshInner, map: "shuffled" });
    expect(result.plan.promise.kind).toBe("exact");
    expect(result.kept).toBe(true);
    expect(result.largest).toBeLessThanOrEqual(1e-5);
  }
});

it("makes new inner units that are random and start without moments", async () => {
  const from = await source("bert-tiny");
  const plan = await planOf("bert-tiny", { ffn: 300 }, { method: freshInner });
  const read = (name: string, start: number, count: number) => from.weights.readF32(name, start, count);
  const made = async (kind: string, content: "weight" | "m") => {
    const planned = plan.parameters.find(({ parameter }) => parameter.layer === 0 && parameter.kind === kind);
    const recipe = content === "weight" ? planned?.weight : planned?.moments?.m;
    if (recipe === undefined) throw new Error(`nothing makes ${kind}`);
    return evaluate(recipe, { read });
  };
  const old = await from.weights.readF32("bert.encoder.layer.0.intermediate.dense.weight");
  const first = await made("intermediate.dense.weight", "weight");
  expect(first.subarray(0, old.length)).toEqual(old);
  expect(new Set(first.subarray(old.length)).size).toBeGreaterThan(2000);
  const second = await made("output.dense.weight", "weight");
  for (let row = 0; row < 64; row++)
    expect(second.subarray(row * 300 + 256, (row + 1) * 300).some(Boolean)).toBe(false);
  for (const kind of ["intermediate.dense.weight", "output.dense.weight"]) {
    expect((await made(kind, "m")).filter((value) => value === 0)).toHaveLength(44 * 64);
  }
});

it("is short, and stands in the page as it is", () => {
  const example = readFileSync(join(packageRoot(), "docs", "examples", "fresh-inner.ts"), "utf8");
  const page = readFileSync(join(packageRoot(), "docs", "how-to", "add-a-growth-method.md"), "utf8");
  expect(page).toContain(`\`\`\`ts\n${example}\`\`\``);
  expect(example.split("\n").length).toBeLessThanOrEqual(40);
});
