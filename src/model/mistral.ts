/** Mistral (Jiang et al. 2023): the family (decoder.ts) with a window, as transformers' MistralConfig has it. */
import type { Architecture } from "./architecture.ts";
import { decoderArchitecture, SLIDING } from "./decoder.ts";

export const mistral: Architecture = decoderArchitecture({
  type: "mistral",
  title: "Mistral",
  spansPrefix: "model.",
  defaults: {
    bos_token_id: 1,
    eos_token_id: 2,
    intermediate_size: 14336,
    num_key_value_heads: 8,
    head_dim: null,
    max_position_embeddings: 131072,
    sliding_window: 4096,
  },
  kinds: ({ sliding_window: window }, read, layers) =>
    window === null || read.count("sliding_window") === 0 ? undefined : new Array<string>(layers).fill(SLIDING),
});
