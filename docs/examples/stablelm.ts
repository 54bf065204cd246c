/**
 * StableLM 2 (Bellagente et al. 2024): Llama's blocks with LayerNorms, and rotary positions for the first quarter of each
 * head; transformers' StableLmModel and StableLmForCausalLM.
 * `npx vitest run test/model/example.test.ts` runs it.
 */
import type { Architecture } from "../../src/model/architecture.ts";
import { decoderArchitecture } from "../../src/model/decoder.ts";

export const stablelm: Architecture = decoderArchitecture({
  type: "stablelm",
  title: "StableLm",
  // transformers' StableLmConfig, where it is not the family's.
  defaults: {
    vocab_size: 50304,
    hidden_size: 2560,
    intermediate_size: 6912,
    num_key_value_heads: 32,
    max_position_embeddings: 4096,
    layer_norm_eps: 1e-5,
    use_qkv_bias: false,
    bos_token_id: 0,
    eos_token_id: 0,
  },
  biases(read) {
    read.only("qk_layernorm", false, "a norm of its own for each head is");
    read.only("use_parallel_residual", false, "an FFN beside attention is");
    read.only("hidden_dropout", 0, "dropout of what the FFN writes is");
    return { qkv: read.flag("use_qkv_bias") };
  },
  layerNorms: true,
  turnedShare: 0.25,
});
