/**
 * What an architecture is: the networks that its configs describe and the Hub's spellings of their parameters. One file
 * an architecture, one line in architectures.ts; nothing else names one.
 */
import type { Json } from "../util/json.ts";
import type { ModelClass } from "./classes.ts";
import type { Activation } from "./config.ts";
import type { Network } from "./network.ts";
import type { Changes, Dimensions, Outputs, Parameter } from "./table.ts";
import type { TaskHeads } from "./task-head.ts";

/** One model of an architecture: a config and the outputs it has. */
export interface Model {
  readonly architecture: Architecture;
  /** `config.json` as it is to be written: the defaults filled in, `architectures` naming the class of these outputs. */
  readonly config: Json;
  readonly dimensions: Dimensions;
  readonly outputs: Outputs;
  readonly network: Network;
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
  /** Whether heads must divide the hidden size all the same. */
  readonly wholeHeads: boolean;
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
  /** The config of the same model with other dimensions or another eps, as transformers would write it. */
  resize(config: Json, to: Changes): Json;
  /** The config with another kind for each block; absent where blocks are all alike. */
  withKinds?(config: Json, kinds: readonly string[]): Json;
  /**
   * The config of a model whose rotary positions reach `factor` times as far, slowed down or by another base; absent where
   * it can't be said. @throws UserError for positions that are stretched already
   */
  stretched?(model: Model, by: "interpolate" | "base", factor: number): Json;
  /** Heads for tasks that can be put on it; absent: none. */
  readonly taskHeads?: TaskHeads;
  /** What its owner should know of a model, in a sentence, such as who else can't read it; undefined for nothing. */
  remark?(model: Model): string | undefined;
  /** Which of the objectives mlm, nsp and clm it can be trained for, given its outputs. */
  objectives(outputs: Outputs): readonly string[];
}

/** The same model with other dimensions or another eps. @param where names the config in messages */
export function resizeModel(model: Model, to: Changes, where: string): Model {
  const { architecture, config, outputs } = model;
  return architecture.model(architecture.resize(config, to), where, outputs);
}
