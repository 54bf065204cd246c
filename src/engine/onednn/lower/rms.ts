/** Root-mean-square norms and rotary positions: our own row kernels (kernels/rms.ts), in f32. */
import type { NodeOf } from "../../../program/ops/index.ts";
import type { Planner } from "../planner.ts";
import { reshaped } from "./shared.ts";

export function rmsNorm(p: Planner, node: NodeOf<"rmsNorm">): void {
  const [x, gain] = node.inputs.map((value) => p.window(value));
  const [y, rrms] = node.outputs.map((value) => p.make(value));
  const [rows, width] = y.dims;
  p.push({
    of: "norm",
    do: "kernel",
    name: "rmsRows",
    args: [x, gain, y, rrms, width, node.attrs.eps],
    split: rows,
  });
}

/** The gain's gradient is a product of ones with what the kernel leaves of each row. */
export function rmsNormGrad(p: Planner, node: NodeOf<"rmsNormGrad">): void {
  const [g, x, gain, rrms] = node.inputs.map((value) => p.window(value));
  const outputs = [...node.outputs];
  const dx = node.attrs.x ? p.make(outputs.splice(0, 1)[0]) : null;
  const [rows, width] = x.dims;
  const products = node.attrs.gain ? p.scratch(x.dims) : null;
  p.push({ of: "norm", do: "kernel", name: "rmsGradRows", args: [g, x, gain, rrms, dx, products, width], split: rows });
  if (products === null) return;
  const dgain = reshaped(p.make(outputs[0]), [1, width]);
  p.push({ of: "norm", do: "matmul", a: p.ones([1, rows], "f32"), b: products, c: dgain, after: [] });
}

export function rotary(p: Planner, node: NodeOf<"rotary">): void {
  const [x, turns] = node.inputs.map((value) => p.window(value));
  const y = p.make(node.outputs[0]);
  const [batch, length, width] = y.dims;
  const half = turns.dims[2];
  const args = [x, y, turns, length, width / (2 * half), half, node.attrs.back ? -1 : 1];
  p.push({ of: "attention", do: "kernel", name: "turnRows", args, split: batch * length });
}
