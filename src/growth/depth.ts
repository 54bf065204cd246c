/** The depth rules there are: a file under depth/, or an order of layers in depth/repeated.ts, and one line here for each. */
import { named, UserError } from "../util/errors.ts";
import { random } from "./depth/random.ts";
import { interleave, middle, overlap, spread, stack } from "./depth/repeated.ts";
import { zero } from "./depth/zero.ts";
import type { DepthRule } from "./growth.ts";

export const depthRules: readonly DepthRule[] = [stack, interleave, zero, spread, overlap, middle, random];

/** @param words a rule's name, with `:FACTOR` behind it for one that takes a factor @throws UserError if there is no such rule */
export function depthRuleOf(words: string): DepthRule {
  const [name, factor] = words.split(/:(.*)/s);
  const found = named(name, depthRules, `there is no depth rule \`${name}\``, "--depth");
  if (factor === undefined) return found;
  if (found.scaled === undefined) {
    throw new UserError(`\`${name}\` takes no factor`, "--depth", `write \`${name}\` alone`);
  }
  if (factor.trim() === "" || !Number.isFinite(Number(factor))) {
    throw new UserError(`\`${factor}\` is not a number`, "--depth", `give one, such as ${name}:0.1`);
  }
  return found.scaled(Number(factor));
}
