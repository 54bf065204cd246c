/**
 * A network's parameter table. Each parameter has the initialisation and decay that its kind has.
 *
 * The last norm before a head tied to the embeddings reads units rather than making them: the embedding matrix, whose
 * hidden dimension is copied when the network grows, can't share, so what stands before it must.
 */
import type { Branch, Drawing, LanguageHead, Network } from "./network.ts";
import type { Axis, Dim, Dimensions, Init, Norm, Output, Outputs, Parameter, Part } from "./table.ts";

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
function matrix(place: Place, kind: string, part: Part, dims: readonly Dim[], init: Init): Parameter {
  return parameter(place, kind, { dims, part, init, decays: true });
}

/** A bias: starts at 0, does not decay. */
function bias(place: Place, kind: string, part: Part, dim: Dim): Parameter {
  return parameter(place, kind, { dims: [dim], part, init: { kind: "constant", value: 0 }, decays: false });
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
function norm(place: Place, kind: string | undefined, dim: Dim, is: Norm): readonly Parameter[] {
  if (kind === undefined) return [];
  const common = { dims: [dim], norm: is, decays: false };
  const value = (value: number): Init => ({ kind: "constant", value });
  return [
    parameter(place, `${kind}.weight`, { ...common, part: "norm-gain", init: value(1) }),
    ...(is.shift ? [parameter(place, `${kind}.bias`, { ...common, part: "norm-shift", init: value(0) })] : []),
  ];
}

/** @param base what stands before the network's own names */
export function parametersOf(network: Network, d: Dimensions, outputs: Outputs, base: string): readonly Parameter[] {
  const { drawing, embedding, normsAfter = false } = network;
  const { positions, types } = embedding;
  const init = drawn(drawing);
  const padded: Init = drawing.padding === undefined ? init : { ...init, padding: drawing.padding };
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const entry: Place = { prefix: base, layer: null, group: "embedding" };
  const table = (kind: string, axis: Axis, rows: number, init: Init) =>
    matrix(entry, kind, "embedding", [out([axis, rows]), stream], init);
  const parameters: Parameter[] = [table(embedding.words, "vocab", d.vocab, padded)];
  if (positions !== undefined) {
    const counted = positions.first === 0 ? init : padded;
    const rows = d.positions + positions.first;
    parameters.push(table(positions.name, "position", rows, positions.sinusoidal ? { kind: "sinusoid" } : counted));
  }
  if (types !== undefined) parameters.push(table(types, "type", d.types, init));
  parameters.push(...norm(entry, embedding.norm, stream, { ...network.norm, sees: "stream", of: "embedding" }));

  const head = ["head", d.headWidth] as const;
  const group = network.attention.grouped ? [["group", d.heads / d.kvHeads] as const] : [];
  const queries = [["kv", d.kvHeads], ...group, head] as const;
  const keys = out(["kv", d.kvHeads], head);
  const inner = out(["ffn", d.ffn]);
  const stored = (made: Dim, read: Dim) => (network.inputMajor ? [read, made] : [made, read]);
  const branch = (
    of: string,
    place: Place,
    is: Branch,
    made: readonly Dim[],
    units: Dim,
    within: readonly Parameter[],
  ) => {
    const bare = place.layer === 0 && is.firstUnnormed === true;
    const sees = normsAfter ? "stream" : "branch";
    const normed = norm(place, bare ? undefined : is.norm, stream, { ...network.norm, sees, of });
    const read = is.reads.length === made.length ? made : [sideBySide(made)];
    const wrote = stored(stream, units);
    parameters.push(
      ...(normsAfter ? [] : normed),
      ...is.reads.flatMap((kind, i) =>
        linearLayer(place, kind, "branch-input", stored(read[i], fromStream), init, is.biases?.reads),
      ),
      ...within,
      ...linearLayer(place, is.writes, "branch-output", wrote, drawn(drawing, drawing.writers), is.biases?.writes),
      ...(normsAfter ? normed : []),
    );
  };
  for (let layer = 0; layer < d.layers; layer++) {
    const place: Place = { prefix: `${base}${network.blocks}.${layer}.`, layer, group: "block" };
    const { attention, ffn } = network;
    const perHead = (kind: string | undefined, of: string) =>
      norm(place, kind, out(head), { kind: "rms", shift: false, sees: "query", of });
    const within = [...perHead(attention.queryNorm, "query"), ...perHead(attention.keyNorm, "key")];
    branch("attention", place, attention, [out(...queries), keys, keys], reads(...queries), within);
    branch("ffn", place, ffn, ffn.gated ? [inner, inner] : [inner], reads(["ffn", d.ffn]), []);
  }
  return [...parameters, ...headsOf(network, d, outputs, base)];
}

/** The parameters above the blocks. */
function headsOf(network: Network, d: Dimensions, outputs: Outputs, base: string): readonly Parameter[] {
  const { drawing, lm, pooler, nsp } = network;
  const { transform } = lm;
  const stream = out(["hidden", d.hidden]);
  const fromStream = reads(["hidden", d.hidden]);
  const top: Place = { prefix: base, layer: null, group: "head" };
  const tied = outputs.lm === "tied";
  const final = tied && transform === undefined ? fromStream : stream;
  const parameters = [...norm(top, network.final, final, { ...network.norm, sees: "head", of: "final" })];
  if (outputs.pooler && pooler !== undefined) {
    const dims = [out(["pooler", d.hidden]), fromStream];
    parameters.push(...linearLayer({ ...top, output: "pooler" }, pooler, "head", dims, drawn(drawing)));
  }
  if (outputs.lm !== "none") {
    const place: Place = { prefix: "", layer: null, group: "head", output: "lm" };
    const init = drawn(drawing, drawing.head);
    const vocab = out(["vocab", d.vocab]);
    const [made, read] = [out(["transform", d.hidden]), reads(["transform", d.hidden])];
    if (transform !== undefined) {
      const is: Norm = { ...network.norm, sees: "head", of: "transform" };
      parameters.push(
        ...linearLayer(place, transform.dense, "head", [made, fromStream], init, transform.biased),
        ...norm(place, transform.norm, tied ? read : made, is),
      );
    }
    const dims = [vocab, transform === undefined ? fromStream : read];
    if (!tied) parameters.push(matrix(place, `${lm.decoder}.weight`, "head", dims, init));
    // Beside a decoder's own bias transformers 5 keeps the one that stands for it in a tied head, and never reads it.
    const biases = new Set([lm.bias, biasRead(lm, tied)].filter((kind) => kind !== undefined));
    parameters.push(...Array.from(biases, (kind) => bias(place, kind, "head", vocab)));
  }
  if (outputs.nsp && nsp !== undefined) {
    const place: Place = { prefix: "", layer: null, group: "head", output: "nsp" };
    const dims = [out(["label", 2]), reads(["pooler", d.hidden])];
    parameters.push(...linearLayer(place, nsp, "head", dims, drawn(drawing)));
  }
  return parameters;
}

/** The bias that the language model's head adds, if it has any. */
export function biasRead({ decoder, bias }: LanguageHead, tied: boolean): string | undefined {
  return tied || bias === undefined ? bias : `${decoder}.bias`;
}

/** How weights are drawn. @param narrower how many times */
export function drawn({ std, cutoff }: Drawing, narrower = 1): Extract<Init, { kind: "normal" }> {
  return { kind: "normal", std: std / narrower, cutoff };
}

/** What lies side by side in one tensor. */
function sideBySide(made: readonly Dim[]): Dim {
  const [{ role, factors, size }] = made;
  return { role, factors: [{ axis: "fused", size: made.length }, ...factors], size: made.length * size };
}
