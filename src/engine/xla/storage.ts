/**
 * Which values lie between operations as bf16. A value does where it is large and all that reads it takes it so; what
 * only moves numbers, or adds them up one by one, takes what its own readers take. Weights' gradients stay f32.
 */
import { type Node, type Program, size, type Value } from "../../program/graph.ts";
import { usesOf } from "../../program/uses.ts";
import { readsHalves } from "../precision.ts";

/** Below it, a value costs nothing to speak of. */
const SMALLEST = 2 ** 14;

/** Lowered on bf16 as on f32. */
export const moves: ReadonlySet<string> = new Set(["reshape", "transpose", "slice", "concat", "stopGradient"]);
/** As bf16 only where what comes of them is. */
const passing: ReadonlySet<string> = new Set([...moves, "split", "add", "mul", "scale", "rotary", "gather"]);

/** Beside what every engine with bf16 takes so: the inputs, by their numbers. Each reads them into f32. */
const readers: Readonly<Record<string, readonly number[]>> = {
  // The probabilities, of which nothing but their gradient is made.
  attentionGrad: [0, 1, 2, 3, 4, 5],
  rmsNorm: [0],
  rmsNormGrad: [0, 1],
  silu: [0],
  siluGrad: [0, 1],
  rotary: [0],
  // Logits, as torch.autocast has them.
  crossEntropy: [0],
  crossEntropyGrad: [1],
  argmax: [0],
  scatterAdd: [1],
};

/** The ids of the values that are stored as bf16. */
export function storedAsHalves(program: Program): ReadonlySet<number> {
  const { readers: readersOf, isKept } = usesOf(program);
  const halves = new Set<number>();
  const taken = (node: Node, input: number) =>
    passing.has(node.op.name)
      ? node.outputs.every(({ id }) => halves.has(id))
      : (readers[node.op.name]?.includes(input) ?? readsHalves(node, input));
  const stored = (value: Value) =>
    value.dtype === "f32" &&
    size(value.shape) >= SMALLEST &&
    !isKept(value) &&
    readersOf(value).every((node) => node.inputs.every(({ id }, i) => id !== value.id || taken(node, i)));
  for (const node of [...program.nodes].reverse()) {
    // A dropout pattern's factor is no number of bf16; it is made where it is read.
    if (node.op.name === "dropoutMask") continue;
    for (const output of node.outputs) if (stored(output)) halves.add(output.id);
  }
  return halves;
}
