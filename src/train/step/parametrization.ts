/**
 * Maximal update parametrization (μP): initial values and rates by a parameter's place in the table, so that activations
 * and their changes keep their size at any width, and the rate that is best for a narrow model is best for a wide one.
 *
 * Yang et al., "Tensor Programs V" (2022), table 8, for Adam, measured from a base width: at that width it is the
 * standard parametrization. With m the ratio of the widths: hidden matrices are
 * drawn narrower by √m and learn at 1/m of the rate, output matrices are drawn narrower by m and learn at 1/m; all else
 * stays. Heads and FFN are taken to widen with the stream. A tied head can't be drawn otherwise than the embeddings, and a config has no place for a factor on logits: the
 * gain and shift of the norm before it take that factor, 1/m in value and rate, which is the same function and the same
 * steps. Attention's scale follows the head's width, which stays as models grow. Weight decay is what it was: it is
 * divided by what the rate is multiplied with (Adam's «decoupled» form in the authors' package).
 */
import type { Model } from "../../model/architecture.ts";
import { AXES, type Dim, type Parameter } from "../../model/table.ts";

/** What a run's `optimizer` says of it. */
export interface Parametrization {
  /** Absent: the standard one. `mup`: the base width, the hidden size at which both are the same. */
  readonly parametrization?: { readonly mup: number };
}

interface Factors {
  /** Of the initial values, or of what they spread. */
  readonly init: number;
  /** Of the step's rate. */
  readonly rate: number;
}

const STANDARD: Factors = { init: 1, rate: 1 };

/** What becomes of a parameter's initial values and rate. */
export function parametrize(model: Model, { parametrization }: Parametrization): (parameter: Parameter) => Factors {
  if (parametrization === undefined) return () => STANDARD;
  const ratio = model.dimensions.hidden / parametrization.mup;
  const last = model.parameters.findLast(({ norm }) => norm?.sees === "head")?.norm?.of;
  return ({ norm, part, dims }) => {
    if (norm !== undefined) {
      const scaled = norm.sees === "head" && norm.of === last && model.outputs.lm === "tied";
      return scaled ? { init: 1 / ratio, rate: 1 / ratio } : STANDARD;
    }
    const widens = (role: Dim["role"]) => {
      return dims.some((dim) => dim.role === role && dim.factors.some(({ axis }) => AXES[axis].grows));
    };
    if (part === "embedding" || !widens("in")) return STANDARD;
    return { init: 1 / (widens("out") ? Math.sqrt(ratio) : ratio), rate: 1 / ratio };
  };
}

/** The model with initial values as the parametrization draws them. */
export function parametrized(model: Model, keys: Parametrization): Model {
  const factors = parametrize(model, keys);
  return {
    ...model,
    parameters: model.parameters.map((parameter) => {
      const { init } = parameter;
      const factor = factors(parameter).init;
      if (factor === 1 || init.kind === "sinusoid") return parameter;
      return {
        ...parameter,
        init: init.kind === "normal" ? { ...init, std: init.std * factor } : { ...init, value: init.value * factor },
      };
    }),
  };
}
