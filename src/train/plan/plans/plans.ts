/** The named plans: one file and one line here for each. What none of them says is written as a list of stages. */
import { full } from "./full.ts";
import type { Plan } from "./plan.ts";
import { twoStage } from "./two-stage.ts";

export const plans: readonly Plan[] = [full, twoStage];
