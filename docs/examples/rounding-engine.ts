/**
 * An engine that rounds every number to bf16 after each operation: slow, but it shows what a training run would lose on
 * hardware that keeps nothing wider. The arithmetic is the reference engine's; the contract is all that is new.
 * `npx vitest run test/engine/example.test.ts` runs it.
 */
import type { Engine, EngineKind, Executable, TensorData } from "../../src/engine/engine.ts";
import { toPrimitives } from "../../src/engine/reference/evaluate.ts";
import { kernels, type Numbers } from "../../src/engine/reference/kernels.ts";
import type { Program, Shape } from "../../src/program/graph.ts";

const bits = new Uint32Array(1);
const real = new Float32Array(bits.buffer);

/** To the nearest bf16, ties to even: the upper half of a float32. */
function toBf16(x: number): number {
  real[0] = x;
  bits[0] += 0x7fff + ((bits[0] >>> 16) & 1);
  bits[0] &= 0xffff0000;
  return real[0];
}

const rounded = (numbers: Numbers): Numbers => (numbers instanceof Int32Array ? numbers : numbers.map(toBf16));
const enter = (data: TensorData): Numbers => (data instanceof Int32Array ? data.slice() : Float64Array.from(data));
const leave = (numbers: Numbers): TensorData =>
  numbers instanceof Int32Array ? numbers.slice() : Float32Array.from(numbers);

function take<T>(found: T | undefined, what: string): T {
  if (found === undefined) throw new Error(`there is no ${what}`);
  return found;
}

class RoundingEngine implements Engine {
  readonly kind = "rounding";
  readonly description = "bf16 after every operation";
  readonly #held = new Map<string, Numbers>();

  async compile(program: Program): Promise<Executable> {
    // An engine keeps the composites it can do whole; this one can do none.
    const primitive = toPrimitives(program);
    const run = async (inputs: Readonly<Record<string, TensorData>>) => {
      const values = new Map<number, Numbers>();
      for (const [name, { id }] of primitive.inputs) values.set(id, rounded(enter(take(inputs[name], name))));
      for (const [name, { id }] of primitive.states) values.set(id, rounded(take(this.#held.get(name), name)));
      for (const node of primitive.nodes) {
        const given = node.inputs.map(({ id }) => take(values.get(id), node.op.name));
        const result = take(kernels.get(node.op.name), node.op.name).run(given, node.attrs, node);
        values.set(node.outputs[0].id, rounded(result));
      }
      // Nothing changes before all is computed: every read of a state sees it as it was.
      for (const [name, { id }] of primitive.updates) this.#held.set(name, take(values.get(id), name));
      return Object.fromEntries(
        [...primitive.outputs].map(([name, { id }]) => [name, leave(take(values.get(id), name))]),
      );
    };
    return { program, run, release: async () => {} };
  }

  async write(name: string, _shape: Shape, data: TensorData): Promise<void> {
    this.#held.set(name, enter(data));
  }

  async read(name: string): Promise<TensorData> {
    return leave(take(this.#held.get(name), name));
  }

  names(): readonly string[] {
    return [...this.#held.keys()];
  }

  async drop(names: Iterable<string>): Promise<void> {
    for (const name of names) this.#held.delete(name);
  }

  async close(): Promise<void> {
    this.#held.clear();
  }
}

export const roundingEngine: EngineKind = {
  kind: "rounding",
  probe: async () => ({ usable: true, description: "bf16 after every operation" }),
  open: async () => new RoundingEngine(),
};
