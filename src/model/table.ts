/**
 * A model is a table of parameters by their axes.
 *
 * Each dimension of each parameter says what it *is*: which axes of the network it runs along and whether it makes
 * units (out) or reads them (in). Shapes, checkpoint names, growth rules, the moments' rule, decay groups,
 * sharding and the checks against a config all follow from the table; no file outside an architecture's own knows a
 * parameter's name. METHOD: Chen et al., bert2BERT (ACL 2022), section 3; Tensor Programs-style axis roles.
 */

interface AxisFacts {
  /** What people, growth.json and random streams call it. */
  readonly name: string;
  /** What a message calls its units; default the name. */
  readonly said?: string;
  /** Whether growing in width multiplies its units. */
  readonly grows?: true;
  /** Whether its units are made and read within a block, so that nothing outside has to agree about them. */
  readonly inner?: true;
  /** The axis whose map it has, because one matrix reads both. */
  readonly follows?: "hidden";
  /** Whether its units are rows that are looked up by their numbers. */
  readonly rows?: true;
}

const facts = {
  /** The residual stream, one for the whole network. */
  hidden: { name: "hidden", grows: true },
  /** Attention heads: those of keys and values. */
  kv: { name: "heads", grows: true, inner: true },
  /** Query heads to each of them; a dimension without this factor has one. */
  group: { name: "group", said: "query heads to each key-value head", grows: true, inner: true },
  /** Inner units of one block. */
  ffn: { name: "ffn", grows: true, inner: true },
  pooler: { name: "pooler", grows: true },
  /** Outputs of the transform that a tied decoder reads with the embedding matrix. */
  transform: { name: "transform", grows: true, follows: "hidden" },
  /** Units of one head. */
  head: { name: "head" },
  /** What lies side by side in one tensor: queries, keys and values; gates and inner units. */
  fused: { name: "fused" },
  vocab: { name: "vocab", rows: true },
  position: { name: "position", rows: true },
  type: { name: "type", rows: true },
  label: { name: "label" },
} as const satisfies Readonly<Record<string, AxisFacts>>;

export type Axis = keyof typeof facts;

/** All that growth knows of an axis. */
export const AXES: Readonly<Record<Axis, AxisFacts>> = facts;

export const axes: readonly Axis[] = Object.keys(AXES).filter((name): name is Axis => name in AXES);

/** An axis's units along a dimension. */
export interface Factor {
  readonly axis: Axis;
  readonly size: number;
}

/** A dimension of a parameter: a product of axes, the outermost first. */
export interface Dim {
  /** out: it makes units (copied when grown). in: it reads units (shared among the copies when grown). */
  readonly role: "out" | "in";
  readonly factors: readonly Factor[];
  /** The product of the factors' sizes. */
  readonly size: number;
}

/** Whether units of an axis lie along a dimension. */
export function runsAlong(dim: Dim, axis: Axis): boolean {
  return dim.factors.some((factor) => factor.axis === axis);
}

/** Whether units lie along a dimension that are mapped as the stream's are without being it. */
export function followsStream(dim: Dim): boolean {
  return dim.factors.some(({ axis }) => AXES[axis].follows === "hidden");
}

/** The dimensions of a matrix along which it may be split among devices: not where rows are looked up. */
export function splittable({ dims }: Pick<Parameter, "dims">): readonly number[] {
  return dims.flatMap(({ factors }, i) => (dims.length < 2 || factors.some(({ axis }) => AXES[axis].rows) ? [] : [i]));
}

export type Part =
  | "embedding"
  | "norm-gain"
  | "norm-shift"
  /** Weights and biases of a block that read the stream: q, k, v, the FFN's first layer. */
  | "branch-input"
  /** Weights and biases of a block that write the stream: the attention's output, the FFN's second layer. */
  | "branch-output"
  | "head";

export type Init =
  | {
      readonly kind: "normal";
      readonly std: number;
      /** How many standard deviations from 0 they end; absent: nowhere. */
      readonly cutoff?: number;
      /** The padding id's row, which does not train where it is looked up, and whether it starts at zero. */
      readonly padding?: { readonly row: number; readonly zero: boolean };
    }
  /** Sines and cosines of a position at wavelengths up to 10000 · 2π (Vaswani et al. 2017), in turn. */
  | { readonly kind: "sinusoid" }
  | { readonly kind: "constant"; readonly value: number };

/** The norm that a gain or shift belongs to. */
export interface Norm {
  /** `layer` takes the mean away and divides by the standard deviation; `rms` divides by the root of the mean square. */
  readonly kind: "layer" | "rms";
  /** Whether a shift is added. */
  readonly shift: boolean;
  /**
   * What it sees. `stream`: the residual stream itself, which is what comes out (post-LN). `branch`: the stream, for a
   * branch to read (pre-LN). `head`: what the output heads read. `query`: the queries or the keys of each head.
   */
  readonly sees: "stream" | "branch" | "head" | "query";
  /** Which one of its block or of the network: "attention", "ffn", "embedding", "final", "transform". */
  readonly of: string;
}

export interface Parameter {
  /** The name in a checkpoint, in today's spelling of transformers. */
  readonly name: string;
  readonly dims: readonly Dim[];
  /** The block it belongs to, from 0 at the bottom; null outside the blocks. */
  readonly layer: number | null;
  /** Which part of the network trains with it: embeddings go with the bottom block. */
  readonly group: "embedding" | "block" | "head";
  readonly part: Part;
  /** Name without the layer, so that a parameter can be found in the layer above: equal for all layers. */
  readonly kind: string;
  readonly norm?: Norm;
  /** The output that it is for alone. */
  readonly output?: Output;
  readonly init: Init;
  /** Whether AdamW's decoupled weight decay applies (matrices and embeddings: yes; biases and norms: no). */
  readonly decays: boolean;
}

/** What growth and training ask of a config, whatever the architecture calls it. */
export interface Dimensions {
  readonly layers: number;
  readonly hidden: number;
  /** Of queries. */
  readonly heads: number;
  /** Heads of keys and values: `heads`, or fewer where several queries share one. */
  readonly kvHeads: number;
  /** Units of one head. */
  readonly headWidth: number;
  readonly ffn: number;
  readonly vocab: number;
  /** The longest sequence it takes, in tokens (RoBERTa: less its offset). */
  readonly positions: number;
  readonly types: number;
}

/** The dimensions that a growth in width and depth decides; a head's width stays, and is said where the config can. */
export type Sizes = Pick<Dimensions, "layers" | "hidden" | "heads" | "kvHeads" | "headWidth" | "ffn">;

/** What a config can be changed to; absent keeps. */
export type Changes = Partial<Sizes & Pick<Dimensions, "vocab" | "positions"> & { readonly eps: number }>;

export const OUTPUTS = ["lm", "pooler", "nsp"] as const;
export type Output = (typeof OUTPUTS)[number];

/** What a model computes beside hidden states. */
export interface Outputs {
  /** Logits over the vocabulary: by the token embedding, or by a matrix of their own. */
  readonly lm: "tied" | "untied" | "none";
  readonly pooler: boolean;
  /** Whether one text follows another. */
  readonly nsp: boolean;
}

export function has(outputs: Outputs, output: Output): boolean {
  return outputs[output] !== false && outputs[output] !== "none";
}

/** The gains and shifts of norms that stand on the stream itself within the blocks (post-LN). */
export function normsOnStream(parameters: readonly Parameter[]): readonly Parameter[] {
  return parameters.filter(({ layer, norm }) => layer !== null && norm?.sees === "stream");
}

/** What these parameters' norms are called. */
export function normName(parameters: readonly Parameter[]): "LayerNorm" | "RMSNorm" {
  return parameters.some(({ norm }) => norm?.kind === "rms") ? "RMSNorm" : "LayerNorm";
}

export function shapeOf(parameter: Parameter): readonly number[] {
  return parameter.dims.map((dim) => dim.size);
}

/** How many numbers a parameter has. */
export function elements(parameter: Parameter): number {
  return shapeOf(parameter).reduce((product, extent) => product * extent, 1);
}

/** How many numbers all of them have. */
export function parameterCount(parameters: readonly Parameter[]): number {
  return parameters.reduce((total, parameter) => total + elements(parameter), 0);
}
