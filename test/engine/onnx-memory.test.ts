/** Tensors over several WebAssembly memories, and kernels on tensors wherever they lie. */
import { expect, test } from "vitest";
import { Kernels, type Operand } from "../../src/engine/onnx/kernels.ts";
import { Arena, Block, STAGE_BYTES } from "../../src/engine/onnx/memory.ts";
import { RandomStream } from "../../src/util/random.ts";

/** More than one piece of the stage, and an end that is no whole vector. */
const COUNT = 40_003;

function numbers(stream: string): Float32Array {
  const random = new RandomStream(3, stream);
  return Float32Array.from({ length: COUNT }, (_, i) => random.normal(i));
}

/** The numbers in a memory, or outside all. */
function placed(data: Float32Array, block: Block | undefined, changed = false): Operand {
  if (block === undefined) return { data: data.slice(), changed };
  const start = block.room.take(Math.ceil(data.byteLength / 64) * 64) ?? 0;
  const inside = new Float32Array(block.memory.buffer, start, data.length);
  inside.set(data);
  return { data: inside, block, changed };
}

test("kernels give the same bytes wherever their tensors lie", () => {
  const kernels = new Kernels();
  const [one, other] = [new Block(2 ** 22), new Block(2 ** 22)];
  // clip, β1, 1 − β1, β2, 1 − β2, keep, step, root, eps
  const settings = [0.5, 0.9, 0.1, 0.999, 0.001, 0.999, 0.01, 1.5, 1e-6];
  const layouts = [
    [one, one, one, one],
    [one, undefined, other, one],
    [undefined, undefined, undefined, undefined],
    [undefined, other, one, other],
  ];
  const made = layouts.map(([p, g, m, v]) => {
    const operands = [
      placed(numbers("p"), p, true),
      placed(numbers("g"), g),
      placed(numbers("m"), m, true),
      placed(numbers("v").map(Math.abs), v, true),
    ];
    kernels.pieces("adamw", operands, ...settings);
    kernels.pieces("accumulate", operands.slice(0, 2));
    return { numbers: operands.map(({ data }) => [...data]), squares: kernels.pieces("sumSquares", [operands[1]]) };
  });
  for (const result of made) expect(result).toEqual(made[0]);
  expect(made[0].numbers[1]).toEqual([...numbers("g")]);
  expect(made[0].numbers[2][7]).not.toBe(numbers("m")[7]);
});

test("room is given back, joined, and taken from another memory when one is full", () => {
  const block = new Block(STAGE_BYTES + 65536);
  const [a, b, c] = [block.room.take(64), block.room.take(64), block.room.take(128)];
  expect([a, b, c]).toEqual([STAGE_BYTES, STAGE_BYTES + 64, STAGE_BYTES + 128]);
  block.room.give(STAGE_BYTES + 64, 64);
  expect(block.room.take(128)).toBe(STAGE_BYTES + 256);
  block.room.give(STAGE_BYTES, 64);
  expect(block.room.take(128)).toBe(STAGE_BYTES);
  expect(block.empty).toBe(false);

  const arena = new Arena();
  // Three of 200 MiB do not fit into one memory; nothing is written, so they take no room in RAM.
  const large = [0, 1, 2].map(() => arena.allocate("f32", [50 * 2 ** 20]));
  expect(large[0].block).toBe(large[1].block);
  expect(large[2].block).not.toBe(large[0].block);
  arena.release(large[0]);
  expect(arena.allocate("i32", [50 * 2 ** 20]).data.byteOffset).toBe(large[0].data.byteOffset);
  // Larger than a memory usually is.
  expect(arena.allocate("f32", [2 ** 28]).data.length).toBe(2 ** 28);
});
