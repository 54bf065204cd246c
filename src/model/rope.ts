/**
 * Rotary positions as a config says them: the frequencies of a head's pairs of units, in radians a position, and the
 * factor on cosines and sines. Extensions of the context (linear, llama3, YaRN) change the list alone. Computed in
 * float32 where transformers does. (Lineage: transformers' modeling_rope_utils; Su et al. 2021; YaRN, Peng et al. 2023.)
 */
import { UserError } from "../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, printable } from "../util/json.ts";

export interface Rope {
  readonly frequencies: readonly number[];
  readonly scale: number;
}

/**
 * The parameters of a config: today's `rope_parameters`, or `rope_theta` with `rope_scaling`, as older ones have them.
 * @param theta the base where the config says none
 */
export function ropeParameters(config: Json, theta: number): Json {
  const given = [config.rope_parameters, config.rope_scaling].find(isJsonObject) ?? {};
  return { rope_theta: config.rope_theta ?? theta, ...given };
}

/** How many of a head's units a share of them is. @throws UserError unless they are pairs */
export function turnedUnits(width: number, share: JsonValue, where: string): number {
  const units = typeof share === "number" ? Math.trunc(width * share) : 0;
  if (units > 0 && units <= width && units % 2 === 0) return units;
  const what = `\`partial_rotary_factor\` is ${printable(JSON.stringify(share))}, of heads ${width} wide`;
  throw new UserError(what, where, "rotary positions pair units: it must leave an even number of them");
}

/**
 * @param width of a head, or of what of it is turned @param positions the config's `max_position_embeddings`
 * @throws UserError for an extension that is not known, or a number that is missing
 */
export function ropeOf(parameters: Json, width: number, positions: number, where: string): Rope {
  const number = (key: string, otherwise?: number): number => {
    const value = parameters[key] ?? otherwise;
    if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
    throw new UserError(`rotary positions need a number \`${key}\``, where, "give it as transformers writes it");
  };
  const type = parameters.rope_type ?? parameters.type ?? "default";
  if (number("partial_rotary_factor", 1) !== 1) {
    throw new UserError("`partial_rotary_factor` other than 1 is not supported", where, "use another checkpoint");
  }
  const theta = number("rope_theta");
  const f32 = Math.fround;
  const powers = Array.from({ length: width / 2 }, (_, i) => f32(theta ** f32((2 * i) / width)));
  const plain = powers.map((power) => f32(1 / power));
  switch (type) {
    case "default":
    // Stretched beyond `max_position_embeddings` alone, and no text here is longer.
    case "dynamic":
      return { frequencies: plain, scale: 1 };
    case "linear":
      return { frequencies: plain.map((frequency) => f32(frequency / number("factor"))), scale: 1 };
    case "llama3": {
      const [factor, low, high] = [number("factor"), number("low_freq_factor"), number("high_freq_factor")];
      const before = number("original_max_position_embeddings");
      const frequencies = plain.map((frequency) => {
        const length = (2 * Math.PI) / frequency;
        if (length < before / high) return frequency;
        if (length > before / low) return f32(frequency / factor);
        const smooth = (before / length - low) / (high - low);
        return f32(((1 - smooth) * frequency) / factor + smooth * frequency);
      });
      return { frequencies, scale: 1 };
    }
    case "yarn": {
      const before = number("original_max_position_embeddings", positions);
      const factor = number("factor", positions / before);
      const grown = (by: number, m = 1) => (by <= 1 ? 1 : 0.1 * m * Math.log(by) + 1);
      const both = parameters.mscale && parameters.mscale_all_dim;
      const usual = both ? grown(factor, number("mscale")) / grown(factor, number("mscale_all_dim")) : grown(factor);
      const at = (turns: number) => (width * Math.log(before / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const [fast, slow] = [at(number("beta_fast", 32)), at(number("beta_slow", 1))];
      const whole = parameters.truncate !== false;
      const first = Math.max(0, whole ? Math.floor(fast) : fast);
      const last = Math.min(width - 1, whole ? Math.ceil(slow) : slow);
      const span = first === last ? 0.001 : last - first;
      const frequencies = powers.map((power, i) => {
        const ramp = f32(Math.min(1, Math.max(0, (i - first) / span)));
        return f32(f32(1 / f32(factor * power)) * ramp + f32(1 / power) * (1 - ramp));
      });
      return { frequencies, scale: number("attention_factor", usual) };
    }
    default: {
      const what = `rotary positions of type ${printable(JSON.stringify(type))} are not supported`;
      throw new UserError(what, where, "known are default, dynamic, linear, llama3 and yarn");
    }
  }
}
