/**
 * StableHLO text under construction: a value is a name with its type, a method adds one operation. Equal operations (the
 * same text, so the same operands) become one.
 */
import { type DType, type Shape, sameShape } from "../../program/graph.ts";

/** Element types, as StableHLO spells them. */
export type Element = DType | "bf16" | "i1" | "ui8" | "ui32" | "ui64";

/** A value of the module. */
export interface Ref {
  readonly name: string;
  readonly element: Element;
  readonly shape: Shape;
}

export const typeText = (element: Element, shape: Shape): string => `tensor<${[...shape, element].join("x")}>`;
export const typeOf = ({ element, shape }: Ref): string => typeText(element, shape);
const list = (numbers: readonly (number | string)[]) => `[${numbers.join(", ")}]`;

export class Emitter {
  readonly lines: string[] = [];
  readonly #made = new Map<string, readonly Ref[]>();

  /** Adds an operation with `count` results of one type. @param text all that stands right of the `=` */
  ops(text: string, element: Element, shape: Shape, count: number): readonly Ref[] {
    const known = this.#made.get(text);
    if (known !== undefined) return known;
    const name = `%${this.#made.size}`;
    this.lines.push(`    ${count === 1 ? name : `${name}:${count}`} = ${text}`);
    const made = Array.from({ length: count }, (_, i) => ({
      name: count === 1 ? name : `${name}#${i}`,
      element,
      shape,
    }));
    this.#made.set(text, made);
    return made;
  }

  op(text: string, element: Element, shape: Shape): Ref {
    return this.ops(text, element, shape, 1)[0];
  }

  /** One number everywhere. */
  constant(value: number, element: Element, shape: Shape = []): Ref {
    const text = element === "f32" ? bitsOf(value) : String(value);
    return this.op(`stablehlo.constant dense<${text}> : ${typeText(element, shape)}`, element, shape);
  }

  /** Numbers along one axis. */
  row(values: readonly number[]): Ref {
    const shape = [values.length];
    return this.op(`stablehlo.constant dense<${list(values.map(bitsOf))}> : ${typeText("f32", shape)}`, "f32", shape);
  }

  /** @param name with its dialect */
  unary(name: string, x: Ref): Ref {
    const type = typeOf(x);
    return this.op(`${name} ${x.name} : ${name.startsWith("chlo") ? `${type} -> ${type}` : type}`, x.element, x.shape);
  }

  /** Operands of one element type, spread to `shape`. */
  binary(name: string, x: Ref, y: Ref, shape: Shape = x.shape): Ref {
    const [a, b] = [this.broadcast(x, shape), this.broadcast(y, shape)];
    return this.op(`stablehlo.${name} ${a.name}, ${b.name} : ${typeOf(a)}`, a.element, shape);
  }

  /** @param direction EQ, GE, GT, LE */
  compare(direction: string, x: Ref, y: Ref, shape: Shape = x.shape): Ref {
    const [a, b] = [this.broadcast(x, shape), this.broadcast(y, shape)];
    const types = `(${typeOf(a)}, ${typeOf(b)}) -> ${typeText("i1", shape)}`;
    return this.op(`stablehlo.compare ${direction}, ${a.name}, ${b.name} : ${types}`, "i1", shape);
  }

  select(where: Ref, x: Ref, y: Ref): Ref {
    const [a, b] = [this.broadcast(x, where.shape), this.broadcast(y, where.shape)];
    const text = `stablehlo.select ${where.name}, ${a.name}, ${b.name} : ${typeOf(where)}, ${typeOf(a)}`;
    return this.op(text, a.element, where.shape);
  }

  /** Spread to a shape by numpy's rules. */
  broadcast(x: Ref, shape: Shape): Ref {
    const missing = shape.length - x.shape.length;
    return sameShape(x.shape, shape)
      ? x
      : this.along(
          x,
          shape,
          x.shape.map((_, i) => i + missing),
        );
  }

  /** Spread to a shape, x's axes standing at `dims` of it. */
  along(x: Ref, shape: Shape, dims: readonly number[]): Ref {
    const text = `stablehlo.broadcast_in_dim ${x.name}, dims = ${list(dims)}`;
    return this.#moved(text, x, shape);
  }

  convert(x: Ref, element: Element): Ref {
    if (x.element === element) return x;
    const text = `stablehlo.convert ${x.name} : (${typeOf(x)}) -> ${typeText(element, x.shape)}`;
    return this.op(text, element, x.shape);
  }

  reshape(x: Ref, shape: Shape): Ref {
    return sameShape(x.shape, shape) ? x : this.#moved(`stablehlo.reshape ${x.name}`, x, shape);
  }

  transpose(x: Ref, perm: readonly number[]): Ref {
    const shape = perm.map((axis) => x.shape[axis]);
    return this.#moved(`stablehlo.transpose ${x.name}, dims = ${list(perm)}`, x, shape);
  }

  slice(x: Ref, axis: number, start: number, end: number): Ref {
    const shape = x.shape.map((extent, i) => (i === axis ? end - start : extent));
    const ranges = x.shape.map((extent, i) => (i === axis ? `${start}:${end}` : `0:${extent}`)).join(", ");
    return this.#moved(`stablehlo.slice ${x.name} [${ranges}]`, x, shape);
  }

  /** Zeros before and after, along one axis. */
  pad(x: Ref, axis: number, before: number, after: number): Ref {
    const zero = this.constant(0, x.element);
    const at = (amount: number) => list(x.shape.map((_, i) => (i === axis ? amount : 0)));
    const shape = x.shape.map((extent, i) => (i === axis ? before + extent + after : extent));
    const text = `stablehlo.pad ${x.name}, ${zero.name}, low = ${at(before)}, high = ${at(after)}, interior = ${at(0)}`;
    const types = `(${typeOf(x)}, ${typeOf(zero)}) -> ${typeText(x.element, shape)}`;
    return this.op(`${text} : ${types}`, x.element, shape);
  }

  concat(xs: readonly Ref[], axis: number): Ref {
    const total = xs.reduce((sum, { shape }) => sum + shape[axis], 0);
    const { element, shape: first } = xs[0];
    const shape = first.map((extent, i) => (i === axis ? total : extent));
    const types = `(${xs.map(typeOf).join(", ")}) -> ${typeText(element, shape)}`;
    const names = xs.map(({ name }) => name).join(", ");
    return this.op(`stablehlo.concatenate ${names}, dim = ${axis} : ${types}`, element, shape);
  }

  /** @param by add, maximum or minimum @param start what it begins with; the axes are gone from the result */
  reduce(by: string, x: Ref, axes: readonly number[], start: number): Ref {
    const init = this.constant(start, x.element);
    const shape = x.shape.filter((_, i) => !axes.includes(i));
    const text = `stablehlo.reduce(${x.name} init: ${init.name}) applies stablehlo.${by} across dimensions = ${list(axes)}`;
    const types = `(${typeOf(x)}, ${typeOf(init)}) -> ${typeText(x.element, shape)}`;
    return this.op(`${text} : ${types}`, x.element, shape);
  }

  /**
   * Several of one shape in one pass; the axes are gone from the results.
   * @param starts what each begins with
   * @param join the lines that make `%j0`, `%j1`, … of two parts, `%a0`, `%a1`, … and `%b0`, `%b1`, …
   */
  reduceTogether(xs: readonly Ref[], axes: readonly number[], starts: readonly number[], join: readonly string[]) {
    const { element, shape: whole } = xs[0];
    const shape = whole.filter((_, i) => !axes.includes(i));
    const scalar = typeText(element, []);
    const names = (letter: string) => xs.map((_, i) => `%${letter}${i}`);
    const types = (of: readonly Ref[], each = typeOf) => of.map(each).join(", ");
    const given = [...xs, ...starts.map((start) => this.constant(start, element))];
    const text = [
      `"stablehlo.reduce"(${given.map(({ name }) => name).join(", ")}) <{dimensions = array<i64: ${axes.join(", ")}>}> ({`,
      `    ^bb0(${[...names("a"), ...names("b")].map((name) => `${name}: ${scalar}`).join(", ")}):`,
      ...join.map((line) => `      ${line} : ${scalar}`),
      `      stablehlo.return ${names("j").join(", ")} : ${types(xs, () => scalar)}`,
      `    }) : (${types(given)}) -> (${types(xs, () => typeText(element, shape))})`,
    ].join("\n");
    return this.ops(text, element, shape, xs.length);
  }

  /** Values of one type, made once: no reader makes them anew. */
  barrier(refs: readonly Ref[]): readonly Ref[] {
    const text = `stablehlo.optimization_barrier ${refs.map(({ name }) => name).join(", ")} : ${refs.map(typeOf).join(", ")}`;
    return this.ops(text, refs[0].element, refs[0].shape, refs.length);
  }

  /** Each element its own index along an axis. */
  iota(element: Element, shape: Shape, axis: number): Ref {
    return this.op(`stablehlo.iota dim = ${axis} : ${typeText(element, shape)}`, element, shape);
  }

  #moved(text: string, x: Ref, shape: Shape): Ref {
    return this.op(`${text} : (${typeOf(x)}) -> ${typeText(x.element, shape)}`, x.element, shape);
  }
}

/** A real as the bits of its f32: no digit is lost, and infinities are written alike. */
function bitsOf(value: number): string {
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0];
  return `0x${bits.toString(16).toUpperCase().padStart(8, "0")}`;
}
