/**
 * What becomes of Adam's moments when a model grows.
 *
 * `grow`: by the width method's own rule, for copies the mirror image of the weights': where T computes S's function,
 * ∂L/∂T is ∂L/∂S gathered and divided by the copies on each out dimension, so m is divided by C and v by C², and the
 * step counts stay. `old-only`: the same for old units, 0 for new ones (MSG, Yao et al., ICLR 2024). `drop`: the
 * optimizer starts anew. A parameter some of whose moments start at 0 starts its step count at 0, or Adam's correction for
 * the first steps would be missing where it is needed: up to (1 − 0.9ᵏ) / √(1 − 0.999ᵏ) = 6.6 times the rate in step 12.
 * What its other moments hold then slows its old entries for some hundred steps (measured: docs/methods.md).
 */
import { named } from "../util/errors.ts";

export const MOMENT_MODES = ["grow", "old-only", "drop"] as const;
export type MomentMode = (typeof MOMENT_MODES)[number];

/** @throws UserError if it is none of MOMENT_MODES */
export function momentMode(name: string): MomentMode {
  return named(name, MOMENT_MODES, `moments can't be treated as \`${name}\``, "--moments");
}
