/** How parameter tables are written down: one call a parameter, with the initialisation and decay its kind has. */
import type { Axis, Dim, Init, Norm, Parameter, Part } from "./table.ts";

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
}

/** A matrix or an embedding table: decays. */
export function matrix(place: Place, kind: string, part: Part, dims: readonly Dim[], init: Init): Parameter {
  return { name: place.prefix + kind, dims, layer: place.layer, group: place.group, part, kind, init, decays: true };
}

/** A bias: starts at 0, does not decay. */
export function bias(place: Place, kind: string, part: Part, dim: Dim): Parameter {
  const { prefix, layer, group } = place;
  return { name: prefix + kind, dims: [dim], layer, group, part, kind, init: zeros(), decays: false };
}

/** Weight and bias of one linear layer. @param dims of the weight, as stored; @param made the dimension of the bias */
export function linearLayer(
  place: Place,
  kind: string,
  part: Part,
  dims: readonly Dim[],
  made: Dim,
  init: Init,
): readonly Parameter[] {
  return [matrix(place, `${kind}.weight`, part, dims, init), bias(place, `${kind}.bias`, part, made)];
}

/** Gain (1 at first) and shift (0) of a layer norm: neither decays. */
export function norm(place: Place, kind: string, dim: Dim, stands: Norm): readonly Parameter[] {
  const { prefix, layer, group } = place;
  const common = { dims: [dim], layer, group, norm: stands, decays: false };
  return [
    {
      ...common,
      name: `${prefix}${kind}.weight`,
      kind: `${kind}.weight`,
      part: "norm-gain",
      init: { kind: "constant", value: 1 },
    },
    { ...common, name: `${prefix}${kind}.bias`, kind: `${kind}.bias`, part: "norm-shift", init: zeros() },
  ];
}
