/**
 * What an architecture is: a parameter table and a forward function over the tensor program, its config and the Hub's
 * spellings of its parameters. One file an architecture, one line in architectures.ts; nothing else names one.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import type { Value } from "../program/graph.ts";
import type { Json } from "../util/json.ts";
import type { ModelClass } from "./classes.ts";
import type { Activation } from "./config.ts";
import type { Dimensions, Outputs, Parameter, Sizes } from "./table.ts";
import type { TaskHeads } from "./task-head.ts";

/** One model of an architecture: a config and the outputs it has. */
export interface Model {
  readonly architecture: Architecture;
  /** `config.json` as it is to be written: the defaults filled in, `architectures` naming the class of these outputs. */
  readonly config: Json;
  readonly dimensions: Dimensions;
  readonly outputs: Outputs;
  readonly parameters: readonly Parameter[];
  /** As the forward function uses them. */
  readonly settings: ModelSettings;
  /** What kind each block is of, where they are not all alike: attention over all positions, or inside a window. */
  readonly kinds?: readonly string[];
}

export interface ModelSettings {
  /** Of every norm. */
  readonly eps: number;
  readonly activation: Activation;
  /** Of the language-model head's transform, where it has its own. */
  readonly transform?: Activation;
  /** What attention scores are multiplied with. */
  readonly attentionScale: number;
  readonly dropout: {
    readonly embedding: number;
    readonly attention: number;
    readonly hidden: number;
    /** Of a gated FFN's inner units; absent: 0. */
    readonly inner?: number;
  };
}

/** How a stored tensor's name is to be understood. */
export type Spelling =
  | { readonly kind: "parameter"; readonly name: string }
  /** A tied copy of a parameter: must equal it, and stands for it where the parameter itself is not stored. */
  | { readonly kind: "copy"; readonly of: string }
  /** Stored beside the parameters without being one (position_ids, attn.bias). */
  | { readonly kind: "ignored" }
  /** Of a head the model leaves out: one that its class has not, or one for a task (classification, question answering). */
  | { readonly kind: "head" }
  | { readonly kind: "unknown" };

export interface Architecture {
  /** config.json's model_type. */
  readonly type: string;
  /** Whether growing it has been measured in a study of ours (docs/results/): what is recommended rests on those. */
  readonly studied: boolean;
  /** transformers' classes of it, the bare model last. */
  readonly classes: readonly ModelClass[];
  /** Whether heads times their width may be other than the hidden size. */
  readonly ownHeadWidth: boolean;
  /**
   * The model a config describes. @param outputs which of them, whether tied or not is the config's to say; default:
   * what `architectures` in the config names, and where it names none, a language model
   * @throws UserError naming the key for whatever is not supported
   */
  model(config: Json, where: string, outputs?: Outputs): Model;
  /**
   * The outputs a checkpoint holds, by the names stored: those of the largest class that is all there, whichever
   * `architectures` names (bert-base-uncased says BertForMaskedLM and stores pooler and NSP too). `architectures`
   * decides of a head that has no tensor of its own.
   */
  outputsStored(config: Json, where: string, stored: Iterable<string>): Outputs;
  /** How a stored tensor's name, whatever its prefix or spelling, is to be read in a model. */
  spelling(model: Model): (stored: string) => Spelling;
  /** The config of the same model with other dimensions (absent keeps) or another eps, as transformers would write it. */
  resize(config: Json, to: Partial<Sizes & { readonly eps: number }>): Json;
  /** The config with another kind for each block; absent where blocks are all alike. */
  withKinds?(config: Json, kinds: readonly string[]): Json;
  /** Heads for tasks that can be put on it; absent: none. */
  readonly taskHeads?: TaskHeads;
  /** What its owner should know of a model, in a sentence, such as who else can't read it; undefined for nothing. */
  remark?(model: Model): string | undefined;
  /** Which of the objectives mlm, nsp and clm it can be trained for, given its outputs. */
  objectives(outputs: Outputs): readonly string[];
  /**
   * The rows of the position table that ids [batch · length] take, where they depend on the ids (RoBERTa counts what is
   * not padding); undefined where they are 0, 1, 2 …
   */
  positions(model: Model, ids: Int32Array, length: number): Int32Array | undefined;
  forward(b: ProgramBuilder, model: Model, inputs: ForwardInputs, options: ForwardOptions): ForwardResult;
}

export interface ForwardInputs {
  /** Token ids [batch · length], i32. */
  readonly ids: Value;
  /** Token types [batch · length], i32; absent: all 0. */
  readonly types?: Value;
  /** Rows of the position table [batch · length], i32; absent: 0, 1, 2 … from the architecture's own offset. */
  readonly positions?: Value;
  /** 1 at a token, 0 at padding, [batch · length], f32; absent: no padding. */
  readonly mask?: Value;
  /** Whether padding, where there is some, only ever ends a sequence; default no. */
  readonly prefix?: boolean;
  /**
   * Which document each token belongs to, [batch · length], i32, and with `gather` those of the gathered positions,
   * [batch · perSequence]: attention then stays inside a document; absent: a sequence is one.
   */
  readonly documents?: { readonly all: Value; readonly gathered?: Value };
  /**
   * 1 where the id is the padding id, else 0, [batch · length], f32: rows looked up there pass no gradient back, as
   * PyTorch's `padding_idx` has it. Needed only where padding is read by something (it is not where `mask` hides it).
   */
  readonly padding?: Value;
  /**
   * Flat indices [batch · perSequence] into batch · length, i32: the only positions whose final hidden state is read.
   * Then the last block runs its queries, output projection and FFN at those alone.
   */
  readonly gather?: Value;
}

export interface ForwardOptions {
  readonly batch: number;
  readonly length: number;
  /** How many blocks run, from the bottom; default all. */
  readonly layers?: number;
  /** The lowest block that trains: nothing is computed backward below it (embeddings train with block 0); default 0. */
  readonly trainFrom?: number;
  /** With `gather`: position 0 of each sequence is kept too, before those gathered from it; default no. */
  readonly keepFirst?: boolean;
  /** Dropout on, with the rates given and the key i32[2] = (seed, step); absent: off. */
  readonly dropout?: { readonly rates: ModelSettings["dropout"]; readonly key: Value };
}

export interface ForwardResult {
  /** Embeddings' output and each block's, [batch · length, hidden]; GPT-2's last after the final norm. With `gather` the last one is [batch · perSequence, hidden], with `keepFirst` [batch · (1 + perSequence), hidden]. */
  readonly hidden: readonly Value[];
  /** Logits over the vocabulary at rows of the final hidden state [n, hidden] → [n, vocab]. */
  lmLogits(rows: Value): Value;
  /** From the final hidden state at each sequence's position 0, [batch, hidden] → [batch, pooler]. Throws without the output. */
  pooled(first: Value): Value;
  /** From the pooler's output → [batch, 2]. Throws without the output. */
  nspLogits(pooled: Value): Value;
}

/** The same model with other dimensions or another eps. @param where names the config in messages */
export function resizeModel(model: Model, to: Partial<Sizes & { readonly eps: number }>, where: string): Model {
  const { architecture, config, outputs } = model;
  return architecture.model(architecture.resize(config, to), where, outputs);
}
