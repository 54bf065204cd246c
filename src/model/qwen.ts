/** Qwen 2, 2.5 and 3: the family (decoder.ts) as transformers' Qwen2Config and Qwen3Config have it. */
import type { Json } from "../util/json.ts";
import type { Architecture } from "./architecture.ts";
import type { ConfigReader } from "./config.ts";
import { decoderArchitecture, FULL, SLIDING } from "./decoder.ts";

const defaults: Json = {
  vocab_size: 151936,
  intermediate_size: 22016,
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
  use_sliding_window: false,
  sliding_window: 4096,
  max_window_layers: 28,
  layer_types: null,
};

/** `layer_types`, else a window from block `max_window_layers` on; none without `use_sliding_window`. */
function kinds(config: Json, read: ConfigReader, layers: number): readonly string[] {
  const slides = read.flag("use_sliding_window") && config.sliding_window !== null;
  if (slides) read.count("sliding_window");
  const from = slides ? read.count("max_window_layers", 0) : layers;
  return (
    read.words("layer_types", slides ? [FULL, SLIDING] : [FULL], layers) ??
    Array.from({ length: layers }, (_, layer) => (layer >= from ? SLIDING : FULL))
  );
}

export const qwen2: Architecture = decoderArchitecture({
  type: "qwen2",
  title: "Qwen2",
  defaults,
  // transformers' Qwen2Attention takes it where a config has it, as a number, not null.
  optional: ["head_dim"],
  biases: () => ({ qkv: true }),
  kinds,
});

export const qwen3: Architecture = decoderArchitecture({
  type: "qwen3",
  title: "Qwen3",
  defaults: { ...defaults, head_dim: 128, attention_bias: false },
  biases: (read) => ({ qkv: read.flag("attention_bias"), output: read.flag("attention_bias") }),
  queryNorms: true,
  kinds,
});
