/**
 * oneDNN's primitives in one language over both of its major versions.
 *
 * A `View` is a strided window on the arena: where, which extents, which strides, which type. A primitive is made for
 * views (shapes and addresses both), so executing it is one foreign call with everything prepared: about 0.4 µs.
 * Training primitives come in pairs; a backward one is made with the forward one's descriptor as its hint.
 *
 * What oneDNN refuses (a type this processor lacks, a form this version lacks) throws `Unimplemented`, so that a
 * lowering can choose another way.
 */
import { type Algorithm, type Argument, type Handle, type Library, shared } from "./library.ts";
import type { AfterProduct, PrimitiveStep, Window } from "./steps.ts";

/** A strided window on the arena. Strides count elements. */
export interface View {
  /** Byte offset in the arena. */
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly type: "f32" | "bf16";
}

export class Unimplemented extends Error {
  override readonly name = "Unimplemented";
}

/** dnnl_memory_desc_t of 2.x. */
const MEMORY_DESCRIPTOR_BYTES = 696;
/** An operation descriptor of 2.x: larger than any of them. */
const DESCRIPTOR_BYTES = 4096;
const argument = {
  src: 1,
  src1: 2,
  dst: 17,
  weights: 33,
  bias: 41,
  mean: 49,
  variance: 50,
  scale: 51,
  shift: 52,
  diffSrc: 129,
  diffDst: 145,
  diffScale: 255,
  diffShift: 256,
} as const;

/** An argument of a C function, with its type. */
type Typed = readonly [type: string, value: Argument];

type Operands = { readonly [K in keyof typeof argument]?: View };

export class Primitives {
  readonly #library: Library;
  readonly #isThree: boolean;
  readonly #base: number;
  readonly #engine: Handle;
  readonly #stream: Handle;
  /** Of views, wherever they lie. */
  readonly #descriptors = new Map<string, Uint8Array | bigint>();
  /** Memory objects on the arena. */
  readonly #memories = new Map<string, Handle>();
  readonly #execute: (primitive: Handle, stream: Handle, count: number, args: number) => number;
  readonly #out = new BigUint64Array(1);
  /** Argument lists must outlive their primitives: oneDNN is handed their addresses. */
  readonly #kept: ArrayBuffer[] = [];

  /** @param base address of the arena that views are offsets into */
  constructor(library: Library, base: number) {
    this.#library = library;
    this.#isThree = library.version.major >= 3;
    this.#base = base;
    this.#engine = this.#made("dnnl_engine_create", [int(shared.cpu), ["size_t", 0]]);
    this.#stream = this.#made("dnnl_stream_create", [
      ["uint64_t", this.#engine],
      ["uint", shared.inOrder],
    ]);
    this.#execute = library.call("dnnl_primitive_execute", "uint64_t", "uint64_t", "int", "uint64_t");
  }

  /** A step made ready: what is returned does it. @param at where a window of the step lies */
  make(step: PrimitiveStep, at: (window: Window) => View): () => void {
    const { number } = this.#library;
    switch (step.do) {
      case "matmul": {
        const [a, b, c, bias] = [at(step.a), at(step.b), at(step.c), step.bias && at(step.bias)];
        const { attributes, operands } = this.#after(step.after, at);
        const args = [a, b, bias, c].map((view): Typed => (view === undefined ? ["void*", null] : this.#of(view)));
        return this.#primitive(
          this.#describe("matmul", args, attributes),
          { src: a, weights: b, dst: c, bias },
          operands,
        );
      }
      case "eltwise": {
        const [x, y] = [at(step.x), at(step.y)];
        return this.#primitive(this.#eltwise(step.algorithm, x, y, step.alpha, step.beta), { src: x, dst: y });
      }
      case "eltwiseBackward": {
        const [x, dy, dx] = [at(step.x), at(step.dy), at(step.dx)];
        const views = [...this.#ofThree(dx), this.#of(dy), this.#of(x)];
        const args = [int(number(step.algorithm)), ...views, float(step.alpha), float(0)];
        const hint = this.#eltwise(step.algorithm, x, x, 0, 0);
        return this.#primitive(this.#describe("eltwise_backward", args, 0, hint), { src: x, diffDst: dy, diffSrc: dx });
      }
      case "softmax": {
        const [x, y] = [at(step.x), at(step.y)];
        const kind = [int(shared.forwardTraining), int(shared.softmaxAccurate)];
        const name = this.#isThree ? "softmax_forward" : "softmax_v2_forward";
        const pd = this.#describe(name, [...kind, this.#of(x), this.#of(y), int(x.dims.length - 1)]);
        return this.#primitive(pd, { src: x, dst: y });
      }
      case "layerNorm": {
        const [src, dst, mean, variance] = [step.x, step.y, step.mean, step.variance].map(at);
        const affine = { scale: at(step.gain), shift: at(step.shift) };
        return this.#primitive(this.#layerNorm(src, dst, mean, step.eps), { src, dst, mean, variance, ...affine });
      }
      case "layerNormBackward": {
        const [src, diffDst, diffSrc, mean, variance] = [step.x, step.dy, step.dx, step.mean, step.variance].map(at);
        // 2.x wants the shift as an input here, although no formula reads it.
        const affine = { scale: at(step.gain), shift: at(step.shift) };
        const slopes = { diffScale: at(step.dgain), diffShift: at(step.dshift) };
        const views = [...this.#ofThree(diffSrc), ...[diffDst, src, mean].map((view) => this.#of(view))];
        const flags: Typed = ["uint", number("useScale") | number("useShift")];
        const args = [int(shared.backward), ...views, float(step.eps), flags];
        const hint = this.#layerNorm(src, diffSrc, mean, step.eps);
        const pd = this.#describe("layer_normalization_backward", args, 0, hint);
        return this.#primitive(pd, { src, diffDst, diffSrc, mean, variance, ...affine, ...slopes });
      }
      case "binary": {
        const [src, src1, dst] = [step.x, step.y, step.z].map(at);
        const views = [src, src1, dst].map((view) => this.#of(view));
        return this.#primitive(this.#describe("binary", [int(shared[step.algorithm]), ...views]), { src, src1, dst });
      }
      case "reorder": {
        const [src, dst] = [at(step.x), at(step.y)];
        const args = [src, dst].flatMap((view): Typed[] => [this.#of(view), ["uint64_t", this.#engine]]);
        return this.#primitive(this.#made("dnnl_reorder_primitive_desc_create", [...args, ["uint64_t", 0]]), {
          src,
          dst,
        });
      }
    }
  }

  /** Waits for whatever still runs. The stream is in order, so this is only needed before reading from outside. */
  wait(): void {
    this.#called("dnnl_stream_wait", [["uint64_t", this.#stream]]);
  }

  /** The descriptor of a view. */
  #of(view: View): Typed {
    const key = keyOf(view);
    const made = this.#descriptors.get(key) ?? this.#described(view);
    this.#descriptors.set(key, made);
    return ["void*", made];
  }

  #described({ dims, strides, type }: View): Uint8Array | bigint {
    const whole: readonly Typed[] = [
      int(dims.length),
      ["void*", BigInt64Array.from(dims, BigInt)],
      int(shared[type]),
      ["void*", BigInt64Array.from(strides, BigInt)],
    ];
    if (this.#isThree) return BigInt(this.#made("dnnl_memory_desc_create_with_strides", whole));
    const made = new Uint8Array(MEMORY_DESCRIPTOR_BYTES);
    this.#called("dnnl_memory_desc_init_by_strides", [["void*", made], ...whole]);
    return made;
  }

  #memory(view: View): Handle {
    const key = `${view.offset}:${keyOf(view)}`;
    const at = [["uint64_t", this.#engine] as const, ["uint64_t", this.#base + view.offset] as const];
    const made = this.#memories.get(key) ?? this.#made("dnnl_memory_create", [this.#of(view), ...at]);
    this.#memories.set(key, made);
    return made;
  }

  /** An argument that 3.x alone has. */
  #ofThree(view: View): readonly Typed[] {
    return this.#isThree ? [this.#of(view)] : [];
  }

  #eltwise(algorithm: Algorithm, x: View, y: View, alpha: number, beta: number): Handle {
    const kind = [int(shared.forwardTraining), int(this.#library.number(algorithm))];
    return this.#describe("eltwise_forward", [...kind, this.#of(x), ...this.#ofThree(y), float(alpha), float(beta)]);
  }

  #layerNorm(x: View, y: View, mean: View, eps: number): Handle {
    const { number } = this.#library;
    const views = [this.#of(x), ...this.#ofThree(y), this.#of(mean)];
    const args: Typed[] = [
      int(shared.forwardTraining),
      ...views,
      float(eps),
      ["uint", number("useScale") | number("useShift")],
    ];
    return this.#describe("layer_normalization_forward", args);
  }

  /** Post-operations of a product, and the operands they read, by their numbers as arguments. */
  #after(after: readonly AfterProduct[], at: (window: Window) => View) {
    if (after.length === 0) return { attributes: 0, operands: [] };
    const { number } = this.#library;
    const attributes = this.#made("dnnl_primitive_attr_create", []);
    const chain = this.#made("dnnl_post_ops_create", []);
    const operands: (readonly [number, View])[] = [];
    const append = (name: string, args: readonly Typed[]) => this.#called(name, [["uint64_t", chain], ...args]);
    after.forEach((step, index) => {
      if (step.kind === "add") {
        const view = at(step.operand);
        append("dnnl_post_ops_append_binary", [int(shared.add), this.#of(view)]);
        operands.push([(number("postOpBase") * (index + 1)) | argument.src1, view]);
      } else {
        const scale = this.#isThree ? [] : [float(1)];
        const linear = [int(number("linear")), float(step.factor), float(0)];
        append("dnnl_post_ops_append_eltwise", [...scale, ...linear]);
      }
    });
    this.#called("dnnl_primitive_attr_set_post_ops", [
      ["uint64_t", attributes],
      ["uint64_t", chain],
    ]);
    return { attributes, operands };
  }

  /** Calls a function that hands out a handle through its first argument. */
  #made(name: string, args: readonly Typed[]): Handle {
    this.#called(name, [["void*", this.#out], ...args]);
    return Number(this.#out[0]);
  }

  /** @throws Unimplemented, Error unless the status is success */
  #called(name: string, args: readonly Typed[]): void {
    const status = this.#library.call(name, ...args.map(([type]) => type))(...args.map(([, value]) => value));
    if (status === 0) return;
    if (status === 3) throw new Unimplemented(`${name}: has no implementation here`);
    throw new Error(`oneDNN: ${name} answered ${status === 1 ? "out of memory" : `status ${status}`}`);
  }

  /**
   * A primitive's descriptor: in 2.x by way of an operation descriptor, in 3.x at once.
   * @param hint the forward primitive's descriptor, for a backward one
   */
  #describe(name: string, args: readonly Typed[], attributes: Handle = 0, hint?: Handle): Handle {
    if (this.#isThree) {
      const hinted: readonly Typed[] = hint === undefined ? [] : [["uint64_t", hint]];
      const whole: readonly Typed[] = [["uint64_t", this.#engine], ...args, ...hinted, ["uint64_t", attributes]];
      return this.#made(`dnnl_${name}_primitive_desc_create`, whole);
    }
    const described = new Uint8Array(DESCRIPTOR_BYTES);
    this.#called(`dnnl_${name}_desc_init`, [["void*", described], ...args]);
    const handles = [attributes, this.#engine, hint ?? 0].map((handle): Typed => ["uint64_t", handle]);
    return this.#made("dnnl_primitive_desc_create", [["void*", described], ...handles]);
  }

  #primitive(pd: Handle, operands: Operands, more: readonly (readonly [number, View])[] = []): () => void {
    const query: readonly Typed[] = [["uint64_t", pd], int(shared.queryImplementation), int(0), ["void*", this.#out]];
    this.#called("dnnl_primitive_desc_query", query);
    const implementation = this.#library.text(this.#out[0]);
    const primitive = this.#made("dnnl_primitive_create", [["uint64_t", pd]]);
    const numbers: Readonly<Record<string, number>> = argument;
    const named = Object.entries(operands).map(([name, view]) => [numbers[name], view] as const);
    // dnnl_exec_arg_t: an int, four bytes of padding, a handle.
    const args = [...named, ...more].flatMap(([number, view]) => (view === undefined ? [] : [{ number, view }]));
    const buffer = new ArrayBuffer(16 * args.length);
    const bytes = new DataView(buffer);
    args.forEach(({ number, view }, i) => {
      bytes.setInt32(16 * i, number, true);
      bytes.setBigUint64(16 * i + 8, BigInt(this.#memory(view)), true);
    });
    this.#kept.push(buffer);
    const address = this.#library.address(new Uint8Array(buffer));
    const execute = this.#execute;
    const stream = this.#stream;
    const count = args.length;
    return () => {
      const status = execute(primitive, stream, count, address);
      if (status !== 0) throw new Error(`oneDNN: ${implementation} ended with status ${status}`);
    };
  }
}

const int = (value: number): Typed => ["int", value];
const float = (value: number): Typed => ["float", value];

function keyOf({ type, dims, strides }: View): string {
  return `${type}:${dims}:${strides}`;
}
