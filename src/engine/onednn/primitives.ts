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
import { Descriptors, type View } from "./descriptors.ts";
import { type Algorithm, type Argument, type Handle, type Library, shared } from "./library.ts";

export interface Primitive {
  /** oneDNN's own name of the chosen implementation, such as gemm:jit. */
  readonly implementation: string;
  execute(): void;
}

/** What is done to a product's result before it is stored. */
export type After =
  | { readonly kind: "add"; readonly operand: View }
  /** Adds what the destination held. */
  | { readonly kind: "accumulate" }
  | { readonly kind: "eltwise"; readonly algorithm: Algorithm }
  | { readonly kind: "scale"; readonly factor: number };

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

type Arguments = readonly (readonly [number, View])[];

export class Primitives {
  readonly #library: Library;
  readonly #descriptors: Descriptors;
  readonly #stream: Handle;
  readonly #execute: (primitive: Handle, stream: Handle, count: number, args: number) => number;
  readonly #out = new BigUint64Array(1);
  /** Argument lists must outlive their primitives: oneDNN is handed their addresses. */
  readonly #kept: ArrayBuffer[] = [];

  /** @param base address of the arena that views are offsets into */
  constructor(library: Library, base: number) {
    this.#library = library;
    this.#descriptors = new Descriptors(library, base);
    this.#stream = this.#descriptors.made(
      "dnnl_stream_create",
      ["uint64_t", "uint"],
      [this.#descriptors.engine, shared.inOrder],
    );
    this.#execute = library.call("dnnl_primitive_execute", "uint64_t", "uint64_t", "int", "uint64_t");
  }

  /** C = A · B (+ bias over C's last dimension), then what `after` says in order. Leading dimensions broadcast. */
  matmul(a: View, b: View, c: View, options: { bias?: View; after?: readonly After[] } = {}): Primitive {
    const { bias, after = [] } = options;
    const { attributes, args } = this.#attributes(after);
    const described = [a, b, bias, c].map((view) => (view === undefined ? null : this.#descriptors.describe(view)));
    const pd = this.#describePrimitive({
      name: "matmul",
      types: ["void*", "void*", "void*", "void*"],
      two: described,
      three: described,
      attributes,
    });
    return this.#primitive(pd, [
      [argument.src, a],
      [argument.weights, b],
      [argument.dst, c],
      ...(bias === undefined ? [] : [[argument.bias, bias] as const]),
      ...args,
    ]);
  }

  /** y = f(x); for `linear`, alpha · x + beta; for `pow`, alpha · x^beta. In place where x and y are the same view. */
  eltwise(algorithm: Algorithm, x: View, y: View, alpha = 0, beta = 0): Primitive {
    return this.#primitive(this.#eltwiseForward(algorithm, x, y, alpha, beta), [
      [argument.src, x],
      [argument.dst, y],
    ]);
  }

  /** dx = f'(x) · dy. */
  eltwiseBackward(algorithm: Algorithm, x: View, dy: View, dx: View, alpha = 0): Primitive {
    const kind = this.#library.constants[algorithm];
    const pd = this.#describePrimitive({
      name: "eltwise_backward",
      types: ["int", "void*", "void*", "float", "float"],
      two: [kind, this.#descriptors.describe(dy), this.#descriptors.describe(x), alpha, 0],
      typesOfThree: ["int", "void*", "void*", "void*", "float", "float"],
      three: [
        kind,
        this.#descriptors.describe(dx),
        this.#descriptors.describe(dy),
        this.#descriptors.describe(x),
        alpha,
        0,
      ],
      hint: this.#eltwiseForward(algorithm, x, x, 0, 0),
    });
    return this.#primitive(pd, [
      [argument.src, x],
      [argument.diffDst, dy],
      [argument.diffSrc, dx],
    ]);
  }

  /** Softmax over the last dimension. */
  softmax(x: View, y: View): Primitive {
    return this.#primitive(this.#softmaxForward(x, y), [
      [argument.src, x],
      [argument.dst, y],
    ]);
  }

  /** dx from softmax's result y and dy. */
  softmaxBackward(y: View, dy: View, dx: View): Primitive {
    const values = [
      this.#descriptors.describe(dx),
      this.#descriptors.describe(dy),
      this.#descriptors.describe(y),
      y.dims.length - 1,
    ];
    const pd = this.#describePrimitive({
      name: this.#descriptors.isThree ? "softmax_backward" : "softmax_v2_backward",
      types: ["int", "void*", "void*", "void*", "int"],
      two: [shared.softmaxAccurate, ...values],
      three: [shared.softmaxAccurate, ...values],
      hint: this.#softmaxForward(y, y),
    });
    return this.#primitive(pd, [
      [argument.dst, y],
      [argument.diffDst, dy],
      [argument.diffSrc, dx],
    ]);
  }

  /** LayerNorm over the last dimension; mean and variance [rows] in f32 are kept for the backward pass. */
  layerNorm(x: View, y: View, mean: View, variance: View, gain: View, shift: View, eps: number): Primitive {
    return this.#primitive(this.#layerNormForward(x, y, mean, eps), [
      [argument.src, x],
      [argument.dst, y],
      [argument.mean, mean],
      [argument.variance, variance],
      [argument.scale, gain],
      [argument.shift, shift],
    ]);
  }

  /** Gradients of LayerNorm's input, gain and shift, from what the forward pass kept. */
  layerNormBackward(v: {
    x: View;
    dy: View;
    dx: View;
    mean: View;
    variance: View;
    gain: View;
    shift: View;
    dgain: View;
    dshift: View;
    eps: number;
  }): Primitive {
    const flags = this.#library.constants.useScale | this.#library.constants.useShift;
    const [x, dy, dx, mean] = [v.x, v.dy, v.dx, v.mean].map((view) => this.#descriptors.describe(view));
    const pd = this.#describePrimitive({
      name: "layer_normalization_backward",
      types: ["int", "void*", "void*", "void*", "float", "uint"],
      two: [shared.backward, dy, x, mean, v.eps, flags],
      typesOfThree: ["int", "void*", "void*", "void*", "void*", "float", "uint"],
      three: [shared.backward, dx, dy, x, mean, v.eps, flags],
      hint: this.#layerNormForward(v.x, v.dx, v.mean, v.eps),
    });
    return this.#primitive(pd, [
      [argument.src, v.x],
      [argument.diffDst, v.dy],
      [argument.diffSrc, v.dx],
      [argument.mean, v.mean],
      [argument.variance, v.variance],
      [argument.scale, v.gain],
      // 2.x wants the shift as an input here, although no formula reads it.
      [argument.shift, v.shift],
      [argument.diffScale, v.dgain],
      [argument.diffShift, v.dshift],
    ]);
  }

  /** z = x ∘ y, y broadcasting over x where an extent is 1. */
  binary(kind: "add" | "sub" | "mul" | "div", x: View, y: View, z: View): Primitive {
    const values = [
      shared[kind],
      this.#descriptors.describe(x),
      this.#descriptors.describe(y),
      this.#descriptors.describe(z),
    ];
    const types = ["int", "void*", "void*", "void*"];
    return this.#primitive(this.#describePrimitive({ name: "binary", types, two: values, three: values }), [
      [argument.src, x],
      [argument.src1, y],
      [argument.dst, z],
    ]);
  }

  /** Copies with a change of strides or type. */
  reorder(x: View, y: View): Primitive {
    const pd = this.#descriptors.made(
      "dnnl_reorder_primitive_desc_create",
      ["void*", "uint64_t", "void*", "uint64_t", "uint64_t"],
      [
        this.#descriptors.describe(x),
        this.#descriptors.engine,
        this.#descriptors.describe(y),
        this.#descriptors.engine,
        0,
      ],
    );
    return this.#primitive(pd, [
      [argument.src, x],
      [argument.dst, y],
    ]);
  }

  /** Waits for whatever still runs. The stream is in order, so this is only needed before reading from outside. */
  wait(): void {
    this.#descriptors.check("dnnl_stream_wait", this.#library.call("dnnl_stream_wait", "uint64_t")(this.#stream));
  }

  #eltwiseForward(algorithm: Algorithm, x: View, y: View, alpha: number, beta: number): Handle {
    const kind = [shared.forwardTraining, this.#library.constants[algorithm]];
    return this.#describePrimitive({
      name: "eltwise_forward",
      types: ["int", "int", "void*", "float", "float"],
      two: [...kind, this.#descriptors.describe(x), alpha, beta],
      typesOfThree: ["int", "int", "void*", "void*", "float", "float"],
      three: [...kind, this.#descriptors.describe(x), this.#descriptors.describe(y), alpha, beta],
    });
  }

  #softmaxForward(x: View, y: View): Handle {
    const values = [
      shared.forwardTraining,
      shared.softmaxAccurate,
      this.#descriptors.describe(x),
      this.#descriptors.describe(y),
      x.dims.length - 1,
    ];
    return this.#describePrimitive({
      name: this.#descriptors.isThree ? "softmax_forward" : "softmax_v2_forward",
      types: ["int", "int", "void*", "void*", "int"],
      two: values,
      three: values,
    });
  }

  #layerNormForward(x: View, y: View, mean: View, eps: number): Handle {
    const flags = this.#library.constants.useScale | this.#library.constants.useShift;
    return this.#describePrimitive({
      name: "layer_normalization_forward",
      types: ["int", "void*", "void*", "float", "uint"],
      two: [shared.forwardTraining, this.#descriptors.describe(x), this.#descriptors.describe(mean), eps, flags],
      typesOfThree: ["int", "void*", "void*", "void*", "float", "uint"],
      three: [
        shared.forwardTraining,
        this.#descriptors.describe(x),
        this.#descriptors.describe(y),
        this.#descriptors.describe(mean),
        eps,
        flags,
      ],
    });
  }

  /** Post-operations of a product, and the operands they read. */
  #attributes(after: readonly After[]): { attributes: Handle; args: Arguments } {
    if (after.length === 0) return { attributes: 0, args: [] };
    const { constants, call } = this.#library;
    const attributes = this.#descriptors.made("dnnl_primitive_attr_create", [], []);
    const chain = this.#descriptors.made("dnnl_post_ops_create", [], []);
    const args: (readonly [number, View])[] = [];
    after.forEach((step, index) => {
      if (step.kind === "add") {
        const append = call("dnnl_post_ops_append_binary", "uint64_t", "int", "void*");
        this.#descriptors.check(
          "dnnl_post_ops_append_binary",
          append(chain, shared.add, this.#descriptors.describe(step.operand)),
        );
        args.push([(constants.postOpBase * (index + 1)) | argument.src1, step.operand]);
      } else if (step.kind === "accumulate") {
        const status = this.#descriptors.isThree
          ? call("dnnl_post_ops_append_sum", "uint64_t", "float", "int32_t", "int")(chain, 1, 0, 0)
          : call("dnnl_post_ops_append_sum", "uint64_t", "float")(chain, 1);
        this.#descriptors.check("dnnl_post_ops_append_sum", status);
      } else {
        const kind = step.kind === "scale" ? constants.linear : constants[step.algorithm];
        const alpha = step.kind === "scale" ? step.factor : 0;
        const status = this.#descriptors.isThree
          ? call("dnnl_post_ops_append_eltwise", "uint64_t", "int", "float", "float")(chain, kind, alpha, 0)
          : call(
              "dnnl_post_ops_append_eltwise",
              "uint64_t",
              "float",
              "int",
              "float",
              "float",
            )(chain, 1, kind, alpha, 0);
        this.#descriptors.check("dnnl_post_ops_append_eltwise", status);
      }
    });
    const set = call("dnnl_primitive_attr_set_post_ops", "uint64_t", "uint64_t");
    this.#descriptors.check("dnnl_primitive_attr_set_post_ops", set(attributes, chain));
    return { attributes, args };
  }

  /** A primitive's descriptor: in 2.x by way of an operation descriptor, in 3.x at once. */
  #describePrimitive(of: {
    readonly name: string;
    readonly types: readonly string[];
    readonly two: readonly Argument[];
    /** Where 3.x takes other arguments than 2.x. */
    readonly typesOfThree?: readonly string[];
    readonly three: readonly Argument[];
    readonly attributes?: Handle;
    /** The forward primitive's descriptor, for a backward one. */
    readonly hint?: Handle;
  }): Handle {
    const { attributes = 0 } = of;
    if (this.#descriptors.isThree) {
      const hinted = of.hint !== undefined;
      return this.#descriptors.made(
        `dnnl_${of.name}_primitive_desc_create`,
        ["uint64_t", ...(of.typesOfThree ?? of.types), ...(hinted ? ["uint64_t"] : []), "uint64_t"],
        [this.#descriptors.engine, ...of.three, ...(of.hint === undefined ? [] : [of.hint]), attributes],
      );
    }
    const described = new Uint8Array(DESCRIPTOR_BYTES);
    const init = `dnnl_${of.name}_desc_init`;
    this.#descriptors.check(init, this.#library.call(init, "void*", ...of.types)(described, ...of.two));
    return this.#descriptors.made(
      "dnnl_primitive_desc_create",
      ["void*", "uint64_t", "uint64_t", "uint64_t"],
      [described, attributes, this.#descriptors.engine, of.hint ?? 0],
    );
  }

  #primitive(pd: Handle, args: Arguments): Primitive {
    const query = this.#library.call("dnnl_primitive_desc_query", "uint64_t", "int", "int", "void*");
    this.#descriptors.check("dnnl_primitive_desc_query", query(pd, shared.queryImplementation, 0, this.#out));
    const implementation = this.#library.text(this.#out[0]);
    const primitive = this.#descriptors.made("dnnl_primitive_create", ["uint64_t"], [pd]);
    // dnnl_exec_arg_t: an int, four bytes of padding, a handle.
    const buffer = new ArrayBuffer(16 * args.length);
    const bytes = new DataView(buffer);
    args.forEach(([index, view], i) => {
      bytes.setInt32(16 * i, index, true);
      bytes.setBigUint64(16 * i + 8, BigInt(this.#descriptors.memory(view)), true);
    });
    this.#kept.push(buffer);
    const address = this.#library.address(new Uint8Array(buffer));
    const execute = this.#execute;
    const stream = this.#stream;
    const count = args.length;
    return {
      implementation,
      execute: () => {
        const status = execute(primitive, stream, count, address);
        if (status !== 0) throw new Error(`oneDNN: ${implementation} ended with status ${status}`);
      },
    };
  }
}
