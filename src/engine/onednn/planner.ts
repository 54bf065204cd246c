/**
 * Lays a program out: which buffer holds which value, when a buffer is free again, and the steps in order.
 *
 * Lowerings (lowerings.ts) ask the planner for windows and push steps; the planner records from which step to which a
 * buffer lives. When all steps are there, buffers that live at different times share memory: the largest first, each
 * at the lowest offset where it meets no other alive with it.
 */
import { type Node, type Program, sameShape, size, type Type, type Value } from "../../program/graph.ts";
import { type Uses, usesOf } from "../../program/uses.ts";
import { readsHalves } from "../precision.ts";
import { rowMajorStrides } from "../reference/strides.ts";
import { lowerings } from "./lowerings.ts";
import { bytesOf, type Plan, type Step, type Window, windowsOf } from "./steps.ts";
import { isDense, restrided, subWindow } from "./views.ts";

interface Buffer {
  readonly bytes: number;
  first: number;
  last: number;
}

/** Operations whose outputs are their input under another shape or name, or parts of it. */
const renames = new Set(["reshape", "stopGradient", "split"]);
/** Those that only move, so that what reads them decides which type they are stored in. */
const moves = new Set([...renames, "concat"]);

/** Cache lines, and what oneDNN's kernels like to start at. */
const ALIGNMENT = 64;

export class Planner {
  readonly program: Program;
  readonly #halves: boolean;
  /** Casts made so far: of a value's window to the other type. */
  readonly #casts = new Map<number, Window>();
  /** Copies made so far of values that lie spread out. */
  readonly #copies = new Map<number, Window>();
  /** Where concatenations go, from the first of their parts on. */
  readonly #wholes = new Map<Node, Window>();
  readonly #ones = new Map<string, Window>();
  readonly #steps: Step[] = [];
  readonly #buffers: Buffer[] = [];
  readonly #windows = new Map<number, Window>();
  readonly #uses: Uses;
  readonly #done = new Set<Node>();
  readonly #stateOf = new Map<number, string>();
  readonly #updateOf = new Map<number, string[]>();
  readonly #written = new Set<string>();
  #at = 0;

  /** @param precision bf16: operands of products, and what lies between them, are stored as bf16 */
  constructor(program: Program, precision: "f32" | "bf16" = "f32") {
    this.program = program;
    this.#halves = precision === "bf16";
    this.#uses = usesOf(program);
    for (const [name, value] of program.states) {
      this.#stateOf.set(value.id, name);
      this.#windows.set(value.id, dense({ state: name }, value.shape));
    }
    for (const [name, value] of program.updates) {
      this.#updateOf.set(value.id, [...(this.#updateOf.get(value.id) ?? []), name]);
    }
  }

  /** Where a value lies, in f32 (or i32): where it is stored as bf16, a copy. */
  window(value: Value): Window {
    return this.as(value, "f32");
  }

  /** Where a value lies as it is stored, row after row: a copy where it is a part of something wider. */
  stored(value: Value): Window {
    const view = this.view(value);
    if (isDense(view)) return view;
    const known = this.#copies.get(value.id);
    if (known !== undefined) return known;
    const copy = this.scratch(value.shape, view.type);
    this.push({ of: "elementwise", do: "reorder", x: view, y: copy });
    this.#copies.set(value.id, copy);
    return copy;
  }

  /** Where a value lies, its rows as far apart as they may be. */
  view(value: Value): Window {
    const window = this.#windows.get(value.id);
    if (window === undefined) throw new Error(`value ${value.id} [${value.shape}] is used before it is made`);
    return window;
  }

  /**
   * An operand that may be a part of something wider. In bf16 it is a copy: AMX wants its rows side by side (0.2 ms
   * against 5.5 for attention's products of a fused projection).
   */
  part(value: Value): Window {
    return this.#halves ? this.operand(value) : this.view(value);
  }

  /** Where a value lies as the operand of a product: bf16 in that precision, a copy where it is stored as f32. */
  operand(value: Value): Window {
    return this.as(value, this.#halves ? "bf16" : "f32");
  }

  /** A value's window in a type that the reader needs. */
  as(value: Value, type: Window["type"]): Window {
    const stored = this.stored(value);
    if (stored.type === type) return stored;
    const known = this.#casts.get(value.id);
    if (known !== undefined) return { ...known, dims: stored.dims, strides: rowMajorStrides(stored.dims) };
    const cast = this.scratch(stored.dims, type);
    this.push({ of: "cast", do: "reorder", x: flat(stored), y: flat(cast) });
    this.#casts.set(value.id, cast);
    return cast;
  }

  /** The type that a value is stored in: bf16 where nobody needs it exactly. */
  typeFor(value: Value): Window["type"] {
    const half =
      this.#halves && value.dtype === "f32" && value.shape.length > 1 && !this.#uses.isKept(value) && this.#fits(value);
    return half ? "bf16" : "f32";
  }

  /** Whether all readers of a value take bf16. */
  #fits(value: Value): boolean {
    const readers = this.#uses.readers(value);
    return readers.every((node) =>
      moves.has(node.op.name)
        ? !node.outputs.some((output) => this.#uses.isKept(output)) &&
          node.outputs.every((output) => this.#fits(output))
        : node.inputs.every((input, i) => input.id !== value.id || readsHalves(node, i)),
    );
  }

  /** Whether a value has been made already. */
  isMade(value: Value): boolean {
    return this.#windows.has(value.id);
  }

  /** Says that a value lies in a window that is there already. */
  bind(value: Value, window: Window): Window {
    this.#windows.set(value.id, window);
    return window;
  }

  /** Room for a value of its own, in f32. */
  make(value: Value): Window {
    return this.bind(value, this.scratch(value.shape));
  }

  /** Room for a value of its own, in the type that its readers let it have. */
  makeFor(value: Value): Window {
    return this.bind(value, this.scratch(value.shape, this.typeFor(value)));
  }

  /** Room for a value that a product writes: where it is going to stand, if all it becomes is a part of something wider. */
  makePart(value: Value): Window {
    const place = this.#halves ? undefined : this.#place(value);
    return place === undefined ? this.makeFor(value) : this.bind(value, place);
  }

  #place(value: Value): Window | undefined {
    const reader = this.soleReader(value);
    if (reader === undefined) return undefined;
    if (reader.op.name === "reshape") {
      const place = this.#place(reader.outputs[0]);
      return place === undefined ? undefined : restrided(place, value.shape);
    }
    if (reader.op.name !== "concat") return undefined;
    const at = reader.inputs.findIndex((input) => input.id === value.id);
    return this.placeIn(reader, at);
  }

  /** Where an input of a concatenation goes. */
  placeIn(node: Node, which: number): Window {
    const [value] = node.outputs;
    let whole = this.#wholes.get(node);
    if (whole === undefined) {
      whole = this.scratch(value.shape, this.typeFor(value));
      this.#wholes.set(node, whole);
    }
    const axis = Number(node.attrs.axis);
    const start = node.inputs.slice(0, which).reduce((sum, { shape }) => sum + shape[axis], 0);
    return subWindow(whole, axis, start, node.inputs[which].shape[axis]);
  }

  /** The room of a concatenation whose parts are all in place. */
  bindWhole(node: Node): void {
    const whole = this.#wholes.get(node);
    if (whole === undefined) throw new Error("a concatenation has no parts");
    this.bind(node.outputs[0], whole);
  }

  /**
   * Room for a value that is made element by element from others: the state it becomes, where nothing still to come
   * reads that state as it was. Its step may read the state itself, at the same elements.
   */
  makeInPlace(value: Value): Window {
    const states = this.#updateOf.get(value.id);
    if (states?.length === 1 && this.#isFree(states[0])) {
      this.#written.add(states[0]);
      return this.bind(value, dense({ state: states[0] }, value.shape));
    }
    return this.make(value);
  }

  /** Room that is no value's. */
  scratch(dims: readonly number[], type: Window["type"] = "f32"): Window {
    this.#buffers.push({ bytes: size(dims) * bytesOf(type), first: Number.POSITIVE_INFINITY, last: -1 });
    return dense({ buffer: this.#buffers.length - 1 }, dims, type);
  }

  /** A row or column of ones, filled when first asked for. */
  ones(dims: readonly number[], type: Window["type"]): Window {
    const key = `${type}:${size(dims)}`;
    let ones = this.#ones.get(key);
    if (ones === undefined) {
      ones = this.scratch(dims, type);
      this.push({ of: "elementwise", do: "fill", x: ones, value: 1 });
      this.#ones.set(key, ones);
    }
    return { ...ones, dims, strides: rowMajorStrides(dims) };
  }

  push(step: Step): void {
    for (const { base } of windowsOf(step)) {
      if (!("buffer" in base)) continue;
      const buffer = this.#buffers[base.buffer];
      buffer.first = Math.min(buffer.first, this.#steps.length);
      buffer.last = Math.max(buffer.last, this.#steps.length);
    }
    this.#steps.push(step);
  }

  /** The one node that reads a value, if there is one only and nothing else needs the value. */
  soleReader(value: Value): Node | undefined {
    const readers = this.#uses.readers(value);
    return readers.length === 1 && !this.#uses.isKept(value) ? readers[0] : undefined;
  }

  /** Where a value lies, in f32, if its one reader may change it there: nothing else lies in that room. */
  changeable(value: Value, reader: Node): Window | undefined {
    const window = this.#windows.get(value.id);
    if (window === undefined || !("buffer" in window.base) || window.type !== "f32" || !isDense(window))
      return undefined;
    const { buffer } = window.base;
    const alone = [...this.#windows].every(
      ([id, { base }]) => id === value.id || !("buffer" in base) || base.buffer !== buffer,
    );
    return alone && this.soleReader(value) === reader && sameShape(window.dims, value.shape) ? window : undefined;
  }

  /** Whether anything but nodes of this operation reads a value. */
  readOnlyBy(value: Value, op: string): boolean {
    return !this.#uses.isKept(value) && this.#uses.readers(value).every((node) => node.op.name === op);
  }

  /** Says that a node needs no lowering of its own any more: another's has done its work. */
  skip(node: Node): void {
    this.#done.add(node);
  }

  plan(): Plan {
    const { program } = this;
    const forever = (window: Window) => {
      if ("buffer" in window.base) this.#buffers[window.base.buffer].last = Number.POSITIVE_INFINITY;
    };
    const inputs = [...program.inputs].map(([name, value]) => {
      const window = this.make(value);
      if ("buffer" in window.base) this.#buffers[window.base.buffer].first = -1;
      return { name, type: typeOf(value), window };
    });
    program.nodes.forEach((node, i) => {
      this.#at = i;
      if (this.#done.has(node)) return;
      const lower = lowerings.get(node.op.name);
      if (lower === undefined) throw new Error(`the oneDNN engine knows no operation ${node.op.name}`);
      lower(this, node);
    });
    this.#at = program.nodes.length;
    const outputs = [...program.outputs].map(([name, value]) => {
      const window = this.window(value);
      forever(window);
      return { name, type: typeOf(value), window };
    });
    this.#updateStates();
    return { steps: this.#steps, ...layOut(this.#buffers), inputs, outputs };
  }

  /** Copies what was not made in place: all values first where a state's new value is another state's old one. */
  #updateStates(): void {
    const copies: { from: Window; name: string }[] = [];
    for (const [name, value] of this.program.updates) {
      const window = this.window(value);
      if ("state" in window.base) {
        if (window.base.state === name) continue;
        const aside = this.scratch(value.shape);
        this.push({ of: "elementwise", do: "reorder", x: window, y: aside });
        copies.push({ from: aside, name });
      } else {
        copies.push({ from: window, name });
      }
    }
    for (const { from, name } of copies) {
      const y = { ...from, base: { state: name }, skip: 0 };
      this.push({ of: "optimizer", do: "reorder", x: from, y });
    }
  }

  /** Whether nothing that is still to run reads the state as it was, the node being lowered aside. */
  #isFree(name: string): boolean {
    const value = this.program.states.get(name);
    if (value === undefined || this.#written.has(name)) return false;
    if ([...this.program.outputs.values()].some((output) => this.#aliases(output, name))) return false;
    for (const [other, update] of this.program.updates) if (other !== name && update.id === value.id) return false;
    return this.#lastRead(value) <= this.#at;
  }

  /** The last node, by its number, that reads a value or another name for the same memory. */
  #lastRead(value: Value): number {
    const reads = this.#uses
      .readers(value)
      .map((node) =>
        Math.max(
          this.#uses.order.get(node) ?? 0,
          ...(renames.has(node.op.name) ? node.outputs.map((o) => this.#lastRead(o)) : []),
        ),
      );
    return Math.max(-1, ...reads);
  }

  #aliases(value: Value, name: string): boolean {
    const base = this.#windows.get(value.id)?.base;
    return base !== undefined && "state" in base && base.state === name;
  }
}

export function dense(base: Window["base"], dims: readonly number[], type: Window["type"] = "f32"): Window {
  return { base, skip: 0, dims, strides: rowMajorStrides(dims), type };
}

/** One row of all elements: oneDNN's casts are quickest on those. */
function flat(window: Window): Window {
  return { ...window, dims: [size(window.dims)], strides: [1] };
}

function typeOf({ dtype, shape }: Type): Type {
  return { dtype, shape };
}

/** Offsets for buffers with lifetimes: greedy by size, first fit. */
export function layOut(buffers: readonly { bytes: number; first: number; last: number }[]): {
  offsets: number[];
  scratchBytes: number;
} {
  const offsets: number[] = new Array(buffers.length).fill(0);
  const order = buffers.map((_, i) => i).sort((a, b) => buffers[b].bytes - buffers[a].bytes || a - b);
  const placed: number[] = [];
  let scratchBytes = 0;
  for (const i of order) {
    const { bytes, first, last } = buffers[i];
    if (last < 0) continue;
    const meets = placed
      .filter((j) => buffers[j].first <= last && first <= buffers[j].last)
      .sort((a, b) => offsets[a] - offsets[b]);
    let offset = 0;
    for (const j of meets) {
      if (offset + bytes <= offsets[j]) break;
      offset = Math.max(offset, align(offsets[j] + buffers[j].bytes));
    }
    offsets[i] = offset;
    placed.push(i);
    scratchBytes = Math.max(scratchBytes, align(offset + bytes));
  }
  return { offsets, scratchBytes };
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
