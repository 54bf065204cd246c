/** The depth rules there are: one file under depth/ and one line here for each. */
import { named } from "../util/errors.ts";
import { interleave } from "./depth/interleave.ts";
import { middle } from "./depth/middle.ts";
import { overlap } from "./depth/overlap.ts";
import { random } from "./depth/random.ts";
import { spread } from "./depth/spread.ts";
import { stack } from "./depth/stack.ts";
import { zero } from "./depth/zero.ts";
import type { DepthRule } from "./growth.ts";

export const depthRules: readonly DepthRule[] = [stack, interleave, zero, spread, overlap, middle, random];

/** @throws UserError if there is no such rule */
export function depthRuleOf(name: string): DepthRule {
  return named(name, depthRules, `there is no depth rule \`${name}\``, "--depth");
}
