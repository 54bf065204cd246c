/** The example of docs/how-to/add-an-operation.md: it works, and the page shows it as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silu, siluOp } from "../../docs/examples/silu.ts";
import { evaluate } from "../../src/engine/reference/evaluate.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { flops } from "../../src/program/flops.ts";
import { ProgramError } from "../../src/program/graph.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { compareWithDifferences } from "./finite.ts";

test("its gradient agrees with finite differences", () => {
  const { error, oneByOne } = compareWithDifferences({ name: "silu", shapes: [[3, 4]], build: (b, [x]) => silu(b, x) });
  expect(error).toBeLessThan(1e-8);
  expect(oneByOne).toBe(true);
});

test("its values, cost and shape rule", () => {
  const b = new ProgramBuilder();
  b.output("y", silu(b, b.input("x", [4])));
  const program = b.build();
  const x = [-3, 0, 0.5, 20];
  const { outputs } = evaluate(program, new Map([["x", Float64Array.from(x)]]));
  outputs.get("y")?.forEach((y, i) => {
    expect(y).toBeCloseTo(x[i] / (1 + Math.exp(-x[i])), 14);
  });
  expect(flops(program).byOp).toEqual({ [siluOp.name]: 4 * 4 });
  expect(() => silu(b, b.input("ids", [2], "i32"))).toThrow(ProgramError);
});

test("the page shows the file", () => {
  const page = readFileSync(join(packageRoot(), "docs", "how-to", "add-an-operation.md"), "utf8");
  const file = readFileSync(join(packageRoot(), "docs", "examples", "silu.ts"), "utf8");
  expect(page).toContain(`\`\`\`ts\n${file}\`\`\``);
});
