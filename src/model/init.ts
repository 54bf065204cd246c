/**
 * Random weights for a config, drawn as transformers draws them: matrices and embeddings from normal(0,
 * initializer_range), the padding id's row at zero, GPT-2's stream-writing matrices narrower by √(2 · layers), biases 0,
 * gains 1. (Lineage: `_init_weights` of transformers' BertPreTrainedModel and GPT2PreTrainedModel.)
 *
 * Each number depends on (seed, layer, the parameter's name within its layer, index) alone, so any slice of any
 * parameter can be drawn by itself, and deeper models begin with the layers of shallower ones.
 */
import { RandomStream } from "../util/random.ts";
import { elements, type Parameter } from "./table.ts";

/**
 * A parameter's initial values, row-major.
 * @param start the first element wanted @param count how many; default all
 */
export function initialise(
  parameter: Parameter,
  seed: number,
  start = 0,
  count = elements(parameter) - start,
): Float32Array {
  const values = new Float32Array(count);
  const { init } = parameter;
  if (init.kind === "constant") return values.fill(init.value);
  if (init.kind === "sinusoid") return sinusoid(parameter.dims[1].size, start, values);
  const name = `init/${parameter.layer ?? "-"}/${parameter.kind}`;
  fillNormal(new RandomStream(seed, name), init.std, start, values);
  if (init.cutoff !== undefined) truncate(seed, name, init.cutoff, init.std, start, values);
  if (init.padding?.zero === true) {
    const width = elements(parameter) / parameter.dims[0].size;
    const from = init.padding.row * width - start;
    values.fill(0, Math.min(count, Math.max(0, from)), Math.min(count, Math.max(0, from + width)));
  }
  return values;
}

/** stream.normal(start + i) · std for every i, each pair's radius and angle computed once. */
function fillNormal(stream: RandomStream, std: number, start: number, values: Float32Array): void {
  let i = 0;
  if (start % 2 === 1 && values.length > 0) values[i++] = std * stream.normal(start);
  for (; i + 1 < values.length; i += 2) {
    const index = start + i;
    const radius = std * Math.sqrt(-2 * Math.log((stream.uint32(index) + 1) / 2 ** 32));
    const angle = 2 * Math.PI * stream.uniform(index + 1);
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  if (i < values.length) values[i] = std * stream.normal(start + i);
}

/** What lies beyond the cutoff drawn anew, each from uniform numbers within it that are taken by the normal density. */
function truncate(seed: number, name: string, cutoff: number, std: number, start: number, values: Float32Array): void {
  const streams: RandomStream[] = [];
  for (let i = 0; i < values.length; i++) {
    for (let attempt = 0; Math.abs(values[i]) > cutoff * std; attempt++) {
      streams[attempt] ??= new RandomStream(seed, `${name}/beyond/${attempt}`);
      const x = cutoff * (2 * streams[attempt].uniform(2 * (start + i)) - 1);
      if (streams[attempt].uniform(2 * (start + i) + 1) < Math.exp(-(x * x) / 2)) values[i] = x * std;
    }
  }
}

function sinusoid(width: number, start: number, values: Float32Array): Float32Array {
  return values.map((_, i) => {
    const unit = (start + i) % width;
    const angle = Math.floor((start + i) / width) / 10_000 ** ((unit - (unit % 2)) / width);
    return unit % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}
