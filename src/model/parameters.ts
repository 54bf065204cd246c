/** How parameter tables are written down: one call a parameter, with the initialisation and decay its kind has. */
import type { Axis, Dim, Init, Norm, Output, Parameter, Part } from "./table.ts";

/** A dimension that makes units. @param factors axes and sizes, the outermost first */
export function out(...factors: readonly (readonly [Axis, number])[]): Dim {
  return dim("out", factors);
}

/** Named so because `in` is a keyword: a dimension that reads units. */
export function reads(...factors: readonly (readonly [Axis, number])[]): Dim {
  return dim("in", factors);
}

function dim(role: Dim["role"], factors: readonly (readonly [Axis, number])[]): Dim {
  return {
    role,
    factors: factors.map(([axis, size]) => ({ axis, size })),
    size: factors.reduce((product, [, size]) => product * size, 1),
  };
}

export function zeros(): Init {
  return { kind: "constant", value: 0 };
}

/** Where a parameter stands. */
export interface Place {
  /** What stands before the layer-free name: "bert.encoder.layer.3.". */
  readonly prefix: string;
  readonly layer: number | null;
  readonly group: Parameter["group"];
  /** The output that it is for alone. */
  readonly output?: Output;
}

function parameter(place: Place, kind: string, rest: Omit<Parameter, keyof Place | "name" | "kind">): Parameter {
  const { prefix, ...stands } = place;
  return { name: prefix + kind, kind, ...stands, ...rest };
}

/** A matrix or an embedding table: decays. */
export function matrix(place: Place, kind: string, part: Part, dims: readonly Dim[], init: Init): Parameter {
  return parameter(place, kind, { dims, part, init, decays: true });
}

/** A bias: starts at 0, does not decay. */
export function bias(place: Place, kind: string, part: Part, dim: Dim): Parameter {
  return parameter(place, kind, { dims: [dim], part, init: zeros(), decays: false });
}

/** Weight and, where it has one, bias of one linear layer; the bias is of what the weight makes. @param dims of the weight, as stored */
export function linearLayer(
  place: Place,
  kind: string,
  part: Part,
  dims: readonly Dim[],
  init: Init,
  biased = true,
): readonly Parameter[] {
  const made = biased ? dims.filter((one) => one.role === "out") : [];
  return [
    matrix(place, `${kind}.weight`, part, dims, init),
    ...made.map((one) => bias(place, `${kind}.bias`, part, one)),
  ];
}

/** Gain (1 at first) and, where it has one, shift (0) of a norm: neither decays. */
export function norm(place: Place, kind: string, dim: Dim, is: Norm): readonly Parameter[] {
  const common = { dims: [dim], norm: is, decays: false };
  const one: Init = { kind: "constant", value: 1 };
  return [
    parameter(place, `${kind}.weight`, { ...common, part: "norm-gain", init: one }),
    ...(is.shift ? [parameter(place, `${kind}.bias`, { ...common, part: "norm-shift", init: zeros() })] : []),
  ];
}

export function layerNorm(sees: Norm["sees"], of: string, shift = true): Norm {
  return { kind: "layer", shift, sees, of };
}

/** A root-mean-square norm. */
export function rmsNorm(sees: Norm["sees"], of: string): Norm {
  return { kind: "rms", shift: false, sees, of };
}
