/** Llama 2 and 3, TinyLlama, SmolLM and their kin: the family (decoder.ts) as transformers' LlamaConfig has it. */
import type { Architecture } from "./architecture.ts";
import { decoderArchitecture } from "./decoder.ts";

export const llama: Architecture = decoderArchitecture({
  type: "llama",
  title: "Llama",
  defaults: { bos_token_id: 1, eos_token_id: 2, attention_bias: false, mlp_bias: false, head_dim: null },
  // transformers 5 opens no other.
  wholeHeads: true,
  biases: (read) => ({
    qkv: read.flag("attention_bias"),
    output: read.flag("attention_bias"),
    ffn: read.flag("mlp_bias"),
  }),
});
