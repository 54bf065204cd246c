/** The example of docs/how-to/add-an-operation.md: it works, and the page shows it as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { squaredRelu, squaredReluOp } from "../../docs/examples/squared-relu.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { flops } from "../../src/program/flops.ts";
import { ProgramError } from "../../src/program/graph.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { evaluate } from "./evaluate.ts";
import { compareWithDifferences } from "./finite.ts";

test("its gradient agrees with finite differences", () => {
  const { error, oneByOne } = compareWithDifferences({
    name: "squaredRelu",
    shapes: [[3, 4]],
    build: (b, [x]) => squaredRelu(b, x),
  });
  expect(error).toBeLessThan(1e-8);
  expect(oneByOne).toBe(true);
});

test("its values, cost and shape rule", () => {
  const b = new ProgramBuilder();
  b.output("y", squaredRelu(b, b.input("x", [4])));
  const program = b.build();
  const x = [-3, 0, 0.5, 20];
  const { outputs } = evaluate(program, new Map([["x", Float64Array.from(x)]]));
  outputs.get("y")?.forEach((y, i) => {
    expect(y).toBe(x[i] > 0 ? x[i] ** 2 : 0);
  });
  expect(flops(program).byOp).toEqual({ [squaredReluOp.name]: 2 * 4 });
  expect(() => squaredRelu(b, b.input("ids", [2], "i32"))).toThrow(ProgramError);
});

test("the page shows the file", () => {
  const page = readFileSync(join(packageRoot(), "docs", "how-to", "add-an-operation.md"), "utf8");
  const file = readFileSync(join(packageRoot(), "docs", "examples", "squared-relu.ts"), "utf8");
  expect(page).toContain(`\`\`\`ts\n${file}\`\`\``);
});
