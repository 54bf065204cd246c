/**
 * Fused attention: cuDNN's kernels by the custom calls that JAX makes of its dot_product_attention, which never write
 * the probabilities (Dao et al., FlashAttention, 2022). Saved for the gradient is a number a query.
 */
import type { Node, Program, Value } from "../../program/graph.ts";
import { isOf, type NodeOf } from "../../program/ops/index.ts";
import { usesOf } from "../../program/uses.ts";
import { type Emitter, type Ref, typeOf, typeText } from "./emitter.ts";
import { devicesOf, type Mesh } from "./mesh.ts";

/** Of a Hopper; older GPUs have half of it, and say so when they compile. */
const WIDEST_HEAD = 256;

/** The nodes, of attention and of its gradient, that cuDNN has kernels for. All else runs plain. */
export function fusedNodes(program: Program): ReadonlySet<Node> {
  const { readers, isKept } = usesOf(program);
  // Of the probabilities there is nothing but what the gradient needs.
  const forGradient =
    ({ id }: Value) =>
    (reader: Node) =>
      reader.op.name === "attentionGrad" && reader.inputs.every((input, i) => input.id !== id || i === 5);
  const fused = program.nodes.filter((node) => {
    if (!isOf("attention", node) || !isFusable(node)) return false;
    const [, probs] = node.outputs;
    return !isKept(probs) && readers(probs).every(forGradient(probs));
  });
  return new Set(fused.flatMap((node) => [node, ...readers(node.outputs[1])]));
}

function isFusable({ attrs, inputs: [q, k] }: NodeOf<"attention">): boolean {
  const [, queries, width] = q.shape;
  const head = width / attrs.heads;
  const { causal, window } = attrs;
  return (
    !attrs.mask &&
    !attrs.apart &&
    (!attrs.bias || attrs.prefix) &&
    (window < 0 || causal) &&
    (!causal || queries === k.shape[1]) &&
    head % 8 === 0 &&
    head <= WIDEST_HEAD
  );
}

/** Lowers the nodes that are fused, each gradient with the form of its attention. */
export class FusedAttention {
  readonly #e: Emitter;
  readonly #mesh: Mesh;
  /** By the probabilities' id: the attention, and the sequences' lengths where padding is hidden. */
  readonly #forms = new Map<number, { readonly node: NodeOf<"attention">; readonly lengths: readonly Ref[] }>();
  #regions = 0;

  constructor(e: Emitter, mesh: Mesh) {
    this.#e = e;
    this.#mesh = mesh;
  }

  /** @param refs of the node's inputs @returns of its outputs; in place of the probabilities, what the gradient reads */
  lower(node: Node, refs: readonly Ref[]): readonly Ref[] {
    if (isOf("attention", node)) return this.#attention(node, refs);
    const form = this.#forms.get(node.inputs[5].id);
    if (form === undefined) throw new Error("a gradient before its attention");
    return this.#gradient(node, refs, form.node, form.lengths);
  }

  #attention(node: NodeOf<"attention">, refs: readonly Ref[]): readonly Ref[] {
    const e = this.#e;
    const heads = node.attrs.heads;
    const [q, k] = node.inputs;
    const lengths = node.attrs.bias ? [this.#all(q), this.#lengths(refs[3])] : [];
    this.#forms.set(node.outputs[1].id, { node, lengths });
    const [x, y, z] = refs.slice(0, 3).map((ref) => this.#split(node, ref));
    const [batch, queries, , width] = x.shape;
    const whole = [batch, heads, queries];
    const outs = [halves([...whole, width]), { name: "", element: "f32", shape: whole } as const];
    const [out, stats] = this.#call("__cudnn$fmhaSoftmax", [x, y, z, ...lengths], outs, (local) =>
      config(node, [local, heads, queries, k.shape[1]], false),
    );
    return [e.reshape(e.transpose(out, [0, 2, 1, 3]), q.shape), stats];
  }

  #gradient(node: Node, refs: readonly Ref[], attention: NodeOf<"attention">, lengths: readonly Ref[]): readonly Ref[] {
    const e = this.#e;
    const [g, x, y, z, out] = refs.slice(0, 5).map((ref) => this.#split(attention, ref));
    const grads = [x, y, z].map(({ shape: [batch, length, heads, width] }) => halves([batch, heads, length, width]));
    const [, heads, queries] = grads[0].shape;
    const given = [x, y, z, refs[5], g, out, ...lengths];
    return this.#call("__cudnn$fmhaSoftmaxBackward", given, grads, (local) =>
      config(attention, [local, heads, queries, y.shape[1]], true),
    ).map((ref, i) => e.reshape(e.transpose(ref, [0, 2, 1, 3]), node.outputs[i].shape));
  }

  /** [B, T, heads · d] → [B, T, heads, d] in bf16. */
  #split({ inputs: [q], attrs }: NodeOf<"attention">, x: Ref): Ref {
    const [batch, length, width] = x.shape;
    const head = q.shape[2] / attrs.heads;
    return this.#e.reshape(this.#e.convert(x, "bf16"), [batch, length, width / head, head]);
  }

  /** How many keys of each sequence are not hidden, from a bias [B, T] of 0 or far below it. */
  #lengths(bias: Ref): Ref {
    const e = this.#e;
    const seen = e.convert(e.compare("GE", bias, e.constant(-1, "f32")), "i32");
    return e.reduce("add", seen, [1], 0);
  }

  /** Queries of padding are answered too, as plain attention does. */
  #all({ shape: [batch, queries] }: Value): Ref {
    return this.#e.constant(queries, "i32", [batch]);
  }

  /** A custom call whose operands and results have the batch first: each device calls for its own part of it. */
  #call(
    target: string,
    given: readonly Ref[],
    outs: readonly Ref[],
    config: (batch: number) => string,
  ): readonly Ref[] {
    const e = this.#e;
    const ways = devicesOf(this.#mesh);
    const part = (ref: Ref): Ref => ({ ...ref, shape: [ref.shape[0] / ways, ...ref.shape.slice(1)] });
    const text = (operands: readonly Ref[], results: readonly Ref[]) => {
      const layouts = `operand_layouts = [${operands.map(rowMajor).join(", ")}], result_layouts = [${[...results.map(headsInside), "dense<0> : tensor<1xindex>"].join(", ")}]`;
      const types = `(${operands.map(typeOf).join(", ")}) -> (${[...results.map(typeOf), typeText("ui8", [0])].join(", ")})`;
      const names = operands.map(({ name }) => name).join(", ");
      const attributes = `api_version = 2 : i32, backend_config = "${config(operands[0].shape[0])}", ${layouts}`;
      return `stablehlo.custom_call @${target}(${names}) {${attributes}} : ${types}`;
    };
    const named = (made: readonly Ref[]) => outs.map((out, i) => ({ ...out, name: made[i].name }));
    if (ways === 1) return named(e.ops(text(given, outs), "bf16", [], outs.length + 1));
    const region = this.#regions++;
    const inside = given.map((ref, i) => ({ ...part(ref), name: `%r${region}_${i}` }));
    const results = outs.map(part);
    const axes = Object.keys(this.#mesh).map((axis) => `"${axis}"`);
    const lying = (ref: Ref) => `<@mesh, [{${axes.join(", ")}}${", {}".repeat(ref.shape.length - 1)}]>`;
    const returned = results.map((_, i) => `%c#${i}`).join(", ");
    const body = [
      `sdy.manual_computation(${given.map(({ name }) => name).join(", ")}) in_shardings=[${given.map(lying).join(", ")}] out_shardings=[${outs.map(lying).join(", ")}] manual_axes={${axes.join(", ")}} (${inside.map((ref) => `${ref.name}: ${typeOf(ref)}`).join(", ")}) {`,
      `      %c:${outs.length + 1} = ${text(inside, results)}`,
      `      sdy.return ${returned} : ${results.map(typeOf).join(", ")}`,
      `    } : (${given.map(typeOf).join(", ")}) -> (${outs.map(typeOf).join(", ")})`,
    ];
    return named(e.ops(body.join("\n"), "bf16", [], outs.length));
  }
}

const halves = (shape: readonly number[]): Ref => ({ name: "", element: "bf16", shape });

/** The layout of an operand: the last axis lies densest. */
const rowMajor = ({ shape }: Ref) => order([...shape.keys()].reverse());
/** Of a result: [B, heads, T, d] lies as [B, T, heads, d] does. */
const headsInside = ({ shape }: Ref) => order(shape.length === 4 ? [3, 1, 2, 0] : [...shape.keys()].reverse());
const order = (axes: readonly number[]) =>
  `dense<${axes.length === 1 ? axes[0] : `[${axes.join(", ")}]`}> : tensor<${axes.length}xindex>`;

/** What the calls are told beside their operands. @param scores [batch, heads, queries, keys] */
function config({ attrs }: NodeOf<"attention">, scores: readonly number[], backward: boolean): string {
  const { causal, bias: padded, window } = attrs;
  // Contracted and batch axes of each product, over q, k, v [B, T, heads, d] and the scores.
  const dims = (left: number, right: number, leftBatch: readonly number[]) => ({
    lhs_contracting_dimensions: [`${left}`],
    rhs_contracting_dimensions: [`${right}`],
    lhs_batch_dimensions: leftBatch.map(String),
    rhs_batch_dimensions: ["0", "2"],
  });
  const products = backward
    ? {
        bmm1_grad_gemm1_dot_dimension_numbers: dims(2, 1, [0, 1]),
        bmm1_grad_gemm2_dot_dimension_numbers: dims(3, 1, [0, 1]),
        bmm2_grad_gemm1_dot_dimension_numbers: dims(2, 1, [0, 1]),
        bmm2_grad_gemm2_dot_dimension_numbers: dims(3, 3, [0, 2]),
      }
    : { bmm1_dot_dimension_numbers: dims(3, 3, [0, 2]), bmm2_dot_dimension_numbers: dims(3, 1, [0, 1]) };
  const algorithm = { algo_id: "0", math_type: "TENSOR_OP_MATH", tuning_knobs: { "17": "1", "24": "0" } };
  const mask = [...(padded ? ["PADDING"] : []), ...(causal ? ["CAUSAL"] : [])].join("_") || "NO_MASK";
  const said = {
    algorithm: { ...algorithm, is_cudnn_frontend: true, workspace_size: "0" },
    fmha_scale: attrs.scale,
    intermediate_tensor_shape: {
      ...{ element_type: "BF16", dimensions: scores.map(String), layout: { minor_to_major: ["3", "2", "1", "0"] } },
      is_dynamic_dimension: [false, false, false, false],
    },
    ...{ is_flash_attention: true, mask_type: mask, ...products, dropout_rate: 0, seed: 42 },
    // The key itself counts.
    ...{ sliding_window_length: window + 1, max_seg_per_batch: 1, is_paged_attention: false },
  };
  return JSON.stringify({ operation_queue_id: "0", cudnn_fmha_backend_config: said }).replaceAll('"', "\\22");
}
