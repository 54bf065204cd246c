/**
 * What a transformer is made of, as data: which layers it has, what they are called and how they are put together. An
 * architecture says it of a config; the parameter table (parameters.ts) and the forward pass (forward.ts) follow.
 */
import type { Rope } from "./rope.ts";
import type { Norm } from "./table.ts";

/** How attention reads. */
export interface AttentionForm {
  /** Only what came before. */
  readonly causal: boolean;
  /** The largest distance that is seen; absent: there is no limit. */
  readonly window?: number;
  /** Of rotary positions; absent: queries and keys are not turned. */
  readonly rope?: Rope;
}

/** A branch of a block: attention, or the FFN. Names are those within the block. */
export interface Branch {
  readonly norm: string;
  /** What reads the stream: a layer each for queries, keys and values, or for gate and units; or one for all of them. */
  readonly reads: readonly string[];
  /** What writes the stream. */
  readonly writes: string;
  /** Which of them have biases; default both. */
  readonly biases?: { readonly reads: boolean; readonly writes: boolean };
  /** Whether the first block has no norm there, since the one after the embeddings stands for it. */
  readonly firstUnnormed?: boolean;
}

export interface Attention extends Branch {
  /** Whether several queries may share a key and a value. */
  readonly grouped?: boolean;
  /** Norms of each head's queries and keys. */
  readonly queryNorm?: string;
  readonly keyNorm?: string;
  /** Whether nothing of what it writes is dropped. */
  readonly keeps?: boolean;
}

export interface Embedding {
  readonly words: string;
  /** A table of positions, the row of the first, and whether it starts as sines and cosines. */
  readonly positions?: { readonly name: string; readonly first: number; readonly sinusoidal?: boolean };
  /** A table of token types. */
  readonly types?: string;
  readonly norm?: string;
  /** Whether nothing of it is dropped. */
  readonly keeps?: boolean;
}

/** The head of the language model; names are whole ones. */
export interface LanguageHead {
  /** A layer, with a bias by default, an activation and a norm before the decoder. */
  readonly transform?: { readonly dense: string; readonly norm: string; readonly biased?: boolean };
  /** The decoder's own matrix, or the copy of the embedding that some checkpoints store. */
  readonly decoder: string;
  readonly bias?: string;
}

/** How new weights are drawn. */
export interface Drawing {
  /** Standard deviation. */
  readonly std: number;
  /** How many of them from 0 they end; absent: nowhere. */
  readonly cutoff?: number;
  /** How many times narrower what writes the stream is drawn, and the language model's head; default 1. */
  readonly writers?: number;
  readonly head?: number;
  /** The padding id, and whether its row starts at zero. */
  readonly padding?: { readonly row: number; readonly zero: boolean };
}

export interface Network {
  /** Weights are stored [inputs, outputs] rather than [outputs, inputs]. */
  readonly inputMajor?: boolean;
  readonly drawing: Drawing;
  readonly embedding: Embedding;
  /** What stands before a block's number. */
  readonly blocks: string;
  /** What all norms of the stream are. */
  readonly norm: Pick<Norm, "kind" | "shift">;
  /** Whether they stand on the stream itself, after each branch (post-LN), rather than before what a branch reads. */
  readonly normsAfter?: boolean;
  readonly attention: Attention;
  /** How blocks of a kind attend. */
  attends(kind: string | undefined): AttentionForm;
  readonly ffn: Branch & {
    /** Whether it has a gate, which its activation is for (Shazeer 2020); dropout is then on the inner units. */
    readonly gated?: boolean;
  };
  /** The norm above the last block. */
  readonly final?: string;
  readonly lm: LanguageHead;
  readonly pooler?: string;
  readonly nsp?: string;
}
