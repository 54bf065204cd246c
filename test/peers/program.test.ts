/** The composites and their gradients, and AdamW, against PyTorch in float64. */
import { describe, expect, test } from "vitest";
import type { Numbers } from "../../src/engine/reference/kernels.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { differentiate } from "../../src/program/differentiate.ts";
import { size, type Value } from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";
import { evaluate } from "../program/evaluate.ts";
import { randomNumbers } from "../program/finite.ts";
import { python } from "../support.ts";

const peer = python(["torch"]);

/** PyTorch's words for the function; the inputs are named a, b, c, … with gradients asked for. */
interface Case {
  readonly name: string;
  readonly shapes: readonly (readonly number[])[];
  readonly torch: string;
  build(b: ProgramBuilder, xs: readonly Value[]): Value;
}

const LETTERS = "abcdefg";
const labels = Int32Array.of(3, 0, 3, 1);

const attention = (causal: boolean): Case => ({
  name: `attention${causal ? ", causal" : ""}`,
  shapes: [
    [2, 3, 6],
    [2, 3, 6],
    [2, 3, 6],
  ],
  torch: `F.scaled_dot_product_attention(*[x.view(2, 3, 2, 3).transpose(1, 2) for x in (a, b, c)], is_causal=${causal ? "True" : "False"}).transpose(1, 2).reshape(2, 3, 6)`,
  build: (b, [q, k, v]) => ops.attention(b, q, k, v, { heads: 2, causal }).out,
});

const cases: readonly Case[] = [
  attention(false),
  attention(true),
  {
    name: "layerNorm",
    shapes: [[4, 5], [5], [5]],
    torch: "F.layer_norm(a, (5,), b, c, 1e-5)",
    build: (b, [x, gain, shift]) => ops.layerNorm(b, x, gain, shift, 1e-5).y,
  },
  {
    name: "linear",
    shapes: [[4, 5], [3, 5], [3]],
    torch: "F.linear(a, b, c)",
    build: (b, [x, w, bias]) => ops.linear(b, x, w, bias, { transposeWeight: true }),
  },
  { name: "gelu, erf", shapes: [[3, 4]], torch: "F.gelu(a)", build: (b, [x]) => ops.gelu(b, x, "erf") },
  {
    name: "gelu, tanh",
    shapes: [[3, 4]],
    torch: "F.gelu(a, approximate='tanh')",
    build: (b, [x]) => ops.gelu(b, x, "tanh"),
  },
  { name: "softmax", shapes: [[3, 4]], torch: "F.softmax(a, -1)", build: (b, [x]) => ops.softmax(b, x) },
  {
    name: "crossEntropy",
    shapes: [[4, 5]],
    torch: `F.cross_entropy(a, torch.tensor([${labels}]), reduction='sum')`,
    build: (b, [logits]) => ops.crossEntropy(b, logits, b.input("labels", [4], "i32"), ops.constant(b, 1, [4])).loss,
  },
];

const FUNCTIONS = `
import json, sys, torch
import torch.nn.functional as F
torch.set_num_threads(1)
results = []
for case in json.loads(sys.argv[1]):
    xs = [torch.tensor(n, dtype=torch.float64).reshape(s).requires_grad_() for n, s in zip(case["numbers"], case["shapes"])]
    y = eval(case["torch"], globals(), dict(zip("abcdefg", xs)))
    weights = torch.tensor(case["weights"], dtype=torch.float64).reshape(y.shape)
    (y * weights).sum().backward()
    results.append([y.detach().flatten().tolist()] + [x.grad.flatten().tolist() for x in xs])
print(json.dumps(results))
`;

const ADAMW = `
import json, sys, torch
torch.set_num_threads(1)
given = json.loads(sys.argv[1])
p = torch.nn.Parameter(torch.tensor(given["param"], dtype=torch.float64))
o = torch.optim.AdamW([p], lr=1, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.1)
for rate, grad in zip(given["rates"], given["grads"]):
    o.param_groups[0]["lr"] = rate
    p.grad = torch.tensor(grad, dtype=torch.float64)
    o.step()
s = o.state[p]
print(json.dumps([p.tolist(), s["exp_avg"].tolist(), s["exp_avg_sq"].tolist(), [float(s["step"])]]))
`;

function expectClose(actual: Numbers | undefined, expected: readonly number[]): void {
  expect(actual?.length).toBe(expected.length);
  actual?.forEach((value, i) => {
    expect(Math.abs(value - expected[i])).toBeLessThan(1e-12 * Math.max(1, Math.abs(expected[i])));
  });
}

describe.skipIf(peer === undefined)("against PyTorch", () => {
  test("values and gradients of the composites", () => {
    const built = cases.map((entry) => {
      const b = new ProgramBuilder();
      const xs = entry.shapes.map((shape, i) => b.input(LETTERS[i], shape));
      const result = entry.build(b, xs);
      const weighted = ops.mul(b, result, b.input("weights", result.shape));
      const loss = ops.reduceSum(b, weighted, [...result.shape.keys()]);
      b.output("y", result);
      differentiate(b, loss, xs).forEach((gradient, i) => {
        b.output(LETTERS[i], gradient);
      });
      const inputs = new Map<string, Numbers>([["labels", labels]]);
      for (const [i, shape] of entry.shapes.entries()) {
        inputs.set(LETTERS[i], randomNumbers(size(shape), `${entry.name} ${i}`));
      }
      inputs.set("weights", randomNumbers(size(result.shape), `${entry.name} weights`));
      return { entry, inputs, program: b.build() };
    });
    const asked = built.map(({ entry, inputs }) => ({
      torch: entry.torch,
      shapes: entry.shapes,
      numbers: entry.shapes.map((_, i) => [...(inputs.get(LETTERS[i]) ?? [])]),
      weights: [...(inputs.get("weights") ?? [])],
    }));
    const answers: number[][][] = JSON.parse(peer?.run(FUNCTIONS, [JSON.stringify(asked)]) ?? "[]");
    expect(answers.length).toBe(cases.length);
    built.forEach(({ inputs, program }, which) => {
      const { outputs } = evaluate(program, inputs);
      const [y, ...gradients] = answers[which];
      expectClose(outputs.get("y"), y);
      gradients.forEach((gradient, i) => {
        expectClose(outputs.get(LETTERS[i]), gradient);
      });
    });
  });

  test("AdamW over several steps", () => {
    const n = 5;
    const rates = [0.1, 0.05, 0.2, 0.01];
    const grads = rates.map((_, i) => [...randomNumbers(n, `grad ${i}`)]);
    const param = [...randomNumbers(n, "param")];
    const [expectedParam, ...expectedState]: number[][] = JSON.parse(
      peer?.run(ADAMW, [JSON.stringify({ param, rates, grads })]) ?? "[]",
    );
    const b = new ProgramBuilder();
    const state = (name: string, shape: number[]) => b.state(name, shape);
    const next = ops.adamw(
      b,
      {
        param: state("param", [n]),
        grad: b.input("grad", [n]),
        m: state("m", [n]),
        v: state("v", [n]),
        steps: state("steps", []),
        clip: ops.constant(b, 1),
        rate: b.input("rate", []),
      },
      { beta1: 0.9, beta2: 0.999, eps: 1e-6, decay: 0.1 },
    );
    for (const [name, value] of Object.entries(next)) b.update(name, value);
    const program = b.build();
    let states: ReadonlyMap<string, Numbers> = new Map([
      ["param", Float64Array.from(param)],
      ["m", new Float64Array(n)],
      ["v", new Float64Array(n)],
      ["steps", new Float64Array(1)],
    ]);
    rates.forEach((rate, i) => {
      const inputs = new Map([
        ["rate", Float64Array.of(rate)],
        ["grad", Float64Array.from(grads[i])],
      ]);
      states = evaluate(program, inputs, states).updates;
    });
    expectClose(states.get("param"), expectedParam);
    ["m", "v", "steps"].forEach((name, i) => {
      expectClose(states.get(name), expectedState[i]);
    });
  });
});
