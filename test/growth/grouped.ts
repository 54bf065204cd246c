/**
 * An architecture of tests: all that a table can say and the three shipped ones do not. Grouped heads of a width of their
 * own, RMSNorms before the branches and, if asked for, of queries and keys, a gated FFN whose two halves lie in one
 * tensor, biases of q, k and v, tied or untied head. What it computes is worked out here, in float64, and differentiated
 * numerically, so that growth is held against something that knows nothing of it.
 */
import type { Architecture, Model } from "../../src/model/architecture.ts";
import { modelClass } from "../../src/model/classes.ts";
import { defineArchitecture } from "../../src/model/define.ts";
import { elements } from "../../src/model/table.ts";
import { RandomStream } from "../../src/util/random.ts";

export const grouped: Architecture = defineArchitecture({
  type: "grouped",
  defaults: {
    model_type: "grouped",
    tie_word_embeddings: true,
    query_norms: false,
    rms_norm_eps: 1e-2,
    vocab_size: 7,
    hidden_size: 6,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    intermediate_size: 3,
    max_position_embeddings: 64,
    num_key_value_heads: null,
    head_dim: null,
    hidden_act: "silu",
  },
  keys: { eps: "rms_norm_eps" },
  classes: [modelClass("GroupedForCausalLM", "lm"), modelClass("GroupedModel")],
  names: { prefix: "model.", buffers: /rotary_emb/, tasks: /^score\./ },
  objective: "clm",
  network(_, read) {
    const queryNorms = read.flag("query_norms");
    return {
      drawing: { std: 0.5 },
      embedding: { words: "embed_tokens.weight" },
      blocks: "layers",
      norm: { kind: "rms", shift: false },
      attention: {
        norm: "input_layernorm",
        reads: ["q_proj", "k_proj", "v_proj"],
        writes: "o_proj",
        biases: { reads: true, writes: false },
        grouped: true,
        queryNorm: queryNorms ? "q_norm" : undefined,
        keyNorm: queryNorms ? "k_norm" : undefined,
      },
      attends: () => ({ causal: true }),
      ffn: {
        norm: "post_attention_layernorm",
        reads: ["gate_up_proj"],
        writes: "down_proj",
        biases: { reads: false, writes: false },
        gated: true,
      },
      final: "norm",
      lm: { decoder: "lm_head" },
    };
  },
});

export type Values = ReadonlyMap<string, Float64Array>;

/** Numbers in float32, none at its usual 0 or 1. */
export function drawn({ parameters }: Model, seed: number): Values {
  return new Map(
    parameters.map((parameter) => {
      const random = new RandomStream(seed, parameter.name);
      const start = parameter.part === "norm-gain" ? 1 : 0;
      const values = Float64Array.from({ length: elements(parameter) }, (_, i) => {
        return Math.fround(start + 0.4 * random.normal(i));
      });
      return [parameter.name, values];
    }),
  );
}

/** Logits [ids.length · vocab] of one causal sequence. */
export function logits({ parameters, dimensions: d, settings, outputs }: Model, all: Values, ids: readonly number[]) {
  const names = new Map(parameters.map(({ layer, kind, name }) => [`${layer} ${kind}`, name]));
  const at = (layer: number | null, kind: string) => all.get(names.get(`${layer} ${kind}`) ?? "");
  const weight = (layer: number | null, kind: string) => {
    const found = at(layer, kind);
    if (found === undefined) throw new Error(`no ${kind}`);
    return found;
  };
  const times = (x: Float64Array, w: Float64Array, bias?: Float64Array) => {
    const made = new Float64Array(w.length / x.length);
    for (let i = 0; i < made.length; i++) {
      made[i] = bias?.[i] ?? 0;
      for (let j = 0; j < x.length; j++) made[i] += x[j] * w[i * x.length + j];
    }
    return made;
  };
  const normed = (x: Float64Array, gain: Float64Array | undefined) => {
    if (gain === undefined) return x;
    const rootMeanSquare = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + settings.eps);
    return x.map((value, i) => (gain[i] * value) / rootMeanSquare);
  };
  const word = weight(null, "embed_tokens.weight");
  let stream = ids.map((id) => word.slice(id * d.hidden, (id + 1) * d.hidden));
  const plus = (x: Float64Array, y: Float64Array) => x.map((value, i) => value + y[i]);
  for (let layer = 0; layer < d.layers; layer++) {
    const linear = (x: Float64Array, kind: string) =>
      times(x, weight(layer, `${kind}.weight`), at(layer, `${kind}.bias`));
    const heads = (rows: Float64Array[], kind: string, norms: string) => {
      return rows.map((row) => {
        const made = linear(row, kind);
        return Array.from({ length: made.length / d.headWidth }, (_, h) =>
          normed(made.slice(h * d.headWidth, (h + 1) * d.headWidth), at(layer, norms)),
        );
      });
    };
    const read = stream.map((x) => normed(x, weight(layer, "input_layernorm.weight")));
    const [q, k, v] = [
      heads(read, "q_proj", "q_norm.weight"),
      heads(read, "k_proj", "k_norm.weight"),
      heads(read, "v_proj", ""),
    ];
    stream = stream.map((x, t) => {
      const mixed = q[t].flatMap((query, h) => {
        const kv = Math.floor(h / (d.heads / d.kvHeads));
        const scores = k.slice(0, t + 1).map((key) => {
          return Math.exp(settings.attentionScale * query.reduce((sum, value, i) => sum + value * key[kv][i], 0));
        });
        const total = scores.reduce((a, b) => a + b);
        return Array.from(query, (_, i) => scores.reduce((sum, score, s) => sum + (score / total) * v[s][kv][i], 0));
      });
      return plus(x, times(Float64Array.from(mixed), weight(layer, "o_proj.weight")));
    });
    stream = stream.map((x) => {
      const inner = times(
        normed(x, weight(layer, "post_attention_layernorm.weight")),
        weight(layer, "gate_up_proj.weight"),
      );
      const gated = inner.slice(0, d.ffn).map((gate, i) => (gate / (1 + Math.exp(-gate))) * inner[d.ffn + i]);
      return plus(x, times(gated, weight(layer, "down_proj.weight")));
    });
  }
  const head = outputs.lm === "tied" ? word : weight(null, "lm_head.weight");
  return Float64Array.from(stream.flatMap((x) => [...times(normed(x, weight(null, "norm.weight")), head)]));
}

/** The gradient of the mean cross-entropy of the next id, by central differences. */
export function gradients(model: Model, all: Values, ids: readonly number[]): Values {
  const { vocab } = model.dimensions;
  const loss = () => {
    const found = logits(model, all, ids);
    const terms = ids.slice(1).map((next, t) => {
      const row = found.subarray(t * vocab, (t + 1) * vocab);
      return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[next];
    });
    return terms.reduce((a, b) => a + b) / terms.length;
  };
  const step = 1e-4;
  const moved = (values: Float64Array, i: number, by: number) => {
    const before = values[i];
    values[i] += by;
    const found = loss();
    values[i] = before;
    return found;
  };
  return new Map(
    [...all].map(([name, values]) => [
      name,
      values.map((_, i) => (moved(values, i, step) - moved(values, i, -step)) / (2 * step)),
    ]),
  );
}
