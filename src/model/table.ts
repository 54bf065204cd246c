/**
 * A model is a table of parameters by their axes.
 *
 * Each dimension of each parameter says what it *is*: which axis of the network it runs along and whether it makes
 * units of that axis (out) or reads them (in). Shapes, checkpoint names, growth rules, the moments' rule, decay groups,
 * sharding and the checks against a config all follow from the table; no file outside an architecture's own knows a
 * parameter's name. METHOD: Chen et al., bert2BERT (ACL 2022), section 3; Tensor Programs-style axis roles.
 */

/**
 * `hidden`: the residual stream, one for the whole network. `heads`: units of whole attention heads (head-major).
 * `ffn`: inner units of one block. `pooler`: BERT's pooler outputs. `transform`: the MLM transform's outputs, read by
 * the tied decoder, so mapped as `hidden`. The rest never grow.
 */
export type Axis = "hidden" | "heads" | "ffn" | "pooler" | "transform" | "vocab" | "position" | "type" | "label";

export interface Dim {
  readonly axis: Axis;
  /** out: it makes a unit (copied when grown). in: it reads a unit (shared among the copies when grown). */
  readonly role: "out" | "in";
  readonly size: number;
  /** Blocks of the axis laid side by side along this dimension (GPT-2's c_attn: 3, for q, k and v); default 1. */
  readonly blocks?: number;
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
      readonly std: number /** A row left at zero (padding_idx). */;
      readonly zeroRow?: number;
    }
  | { readonly kind: "constant"; readonly value: number };

/** For a gain or shift: what the norm stands behind and what reads it. */
export interface Norm {
  /** `stream`: it normalises the residual stream itself. `branch`: a branch's input (pre-LN). `head`: an output head's. */
  readonly place: "stream" | "branch" | "head";
  /** Orders the norms of one block, and identifies gain and shift of one norm: "attention", "ffn", "embedding", "final", "transform". */
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
  readonly init: Init;
  /** Whether AdamW's decoupled weight decay applies (matrices and embeddings: yes; biases and norms: no). */
  readonly decays: boolean;
}

/** What growth and training ask of a config, whatever the architecture calls it. */
export interface Dimensions {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  /** hidden / heads. */
  readonly headWidth: number;
  readonly ffn: number;
  readonly vocab: number;
  /** The longest sequence it takes, in tokens (RoBERTa: less its offset). */
  readonly positions: number;
  readonly types: number;
}

/** Which output heads a checkpoint holds. */
export interface Heads {
  /** The language-model head, tied to the token embedding. */
  readonly lm: boolean;
  readonly pooler: boolean;
  readonly nsp: boolean;
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
