/**
 * A training step of ours on any engine, as the benches take it: made from what is said of it as JSON. Runs from dist/.
 * Its numbers are drawn from a seed, the same on every machine.
 */
const dist = new URL("../../dist/", import.meta.url).href;
const { openEngine } = await import(`${dist}engine/engines.js`);
const { architectureOf } = await import(`${dist}model/architectures.js`);
const { initialise } = await import(`${dist}model/init.js`);
const { shapeOf } = await import(`${dist}model/table.js`);
const { buildStep, momentNames } = await import(`${dist}train/step/step.js`);
const { RandomStream } = await import(`${dist}util/random.js`);

function configOf({ kind, layers, hidden, heads, kvHeads = heads, ffn = 4 * hidden, vocabulary, length }) {
  const usual = { vocab_size: vocabulary, hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: heads };
  const sized = { ...usual, intermediate_size: ffn, max_position_embeddings: length };
  if (kind === "bert") return { model_type: "bert", architectures: ["BertForMaskedLM"], ...sized, hidden_act: "gelu" };
  if (kind === "llama") {
    const own = { num_key_value_heads: kvHeads, tie_word_embeddings: false };
    return { model_type: "llama", architectures: ["LlamaForCausalLM"], ...sized, ...own };
  }
  const own = { n_embd: hidden, n_layer: layers, n_head: heads, n_positions: length, n_inner: ffn };
  return {
    ...{ model_type: "gpt2", architectures: ["GPT2LMHeadModel"], vocab_size: vocabulary, ...own },
    activation_function: "gelu_new",
  };
}

/**
 * The programs of a step, without an engine.
 * @param spec kind (bert, gpt2, llama), layers, hidden, heads, kvHeads, ffn, vocabulary, batch, length, masked (positions
 *   a sequence, for bert), dropout (a rate, or {embedding, attention, hidden}), padded (whether sequences end in padding),
 *   bottom and train (a sub-model)
 */
export function programsOf(spec) {
  const { batch, length, layers, masked, dropout, kind } = spec;
  const config = configOf(spec);
  const model = architectureOf(config, "bench").model(config, "bench");
  const rates = typeof dropout === "number" ? { embedding: dropout, attention: dropout, hidden: dropout } : dropout;
  const drops = rates !== undefined && Object.values(rates).some((rate) => rate > 0);
  const bert = kind === "bert";
  const loss = {
    ...{ objective: bert ? "mlm" : "clm", batch, length, perSequence: bert ? masked : length },
    ...(drops ? { dropout: rates } : {}),
    ...(spec.padded ? { mask: true } : {}),
  };
  const form = { loss, model: { layers: spec.bottom ?? layers, train: spec.train ?? layers }, head: true };
  const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 };
  return { model, drops, ...buildStep(model, { ...form, accumulate: 1 }, rule) };
}

/** @param spec as programsOf, and engine, threads, precision and options of the engine's own */
export async function openStep(spec) {
  const { batch, length, vocabulary, masked, kind, threads, precision, engine, options, padded } = spec;
  const { model, drops, trained, batch: program, flops } = programsOf(spec);
  const opened = await openEngine({ kind: engine, threads, precision, options });
  const names = [];
  for (const parameter of trained.length > 0 ? model.parameters : []) {
    const { m, v, steps } = momentNames(parameter.name);
    const count = shapeOf(parameter).reduce((n, extent) => n * extent, 1);
    const drawn = initialise(parameter, 1, 0, Math.min(count, 65_536));
    const data = Float32Array.from({ length: count }, (_, i) => drawn[i % drawn.length]);
    await opened.write(parameter.name, shapeOf(parameter), data);
    for (const name of [m, v]) await opened.write(name, shapeOf(parameter), new Float32Array(count));
    await opened.write(steps, [], new Float32Array(1));
    names.push(parameter.name);
  }
  const executable = await opened.compile(program);
  const random = new RandomStream(1, "bench");
  const ids = Int32Array.from({ length: batch * length }, (_, i) => random.below(vocabulary, i));
  const bert = kind === "bert";
  const places = Int32Array.from({ length: bert ? batch * masked : 0 }, (_, i) => {
    const row = Math.floor(i / masked);
    return row * length + (((i % masked) * 6 + row) % length);
  });
  const rows = bert ? batch * masked : batch * length;
  // A quarter of each second sequence is padding.
  const mask = Float32Array.from({ length: batch * length }, (_, i) =>
    Math.floor(i / length) % 2 === 1 && i % length >= 0.75 * length ? 0 : 1,
  );
  const inputs = (step) => ({
    ids,
    ...(bert
      ? { gather: places, labels: places.map((at) => ids[at]) }
      : { labels: ids.map((_, i) => ids[i + 1] ?? 0) }),
    weights: new Float32Array(rows).fill(1 / rows),
    rate: Float32Array.of(1e-4),
    ...(padded ? { mask } : {}),
    ...(drops ? { key: Int32Array.of(1, step) } : {}),
  });
  return { opened, executable, inputs, flops, names };
}
