/** What a named plan is: options with defaults, and the stages they mean for a model of so many layers. */
import type { z } from "zod";
import type { StageSpec } from "../stage.ts";

export interface Plan {
  /** As in `plan: NAME` and `plan: {NAME: options}`. */
  readonly name: string;
  readonly description: string;
  /** Schema of the options; it fills in their defaults. */
  readonly options: z.ZodType;
  /** @param options as the schema gave them back @param layers of the model the run starts with */
  expand(options: unknown, layers: number): readonly StageSpec[];
}

/** A plan whose `expand` takes the options by their type. */
export function definePlan<T>(plan: {
  readonly name: string;
  readonly description: string;
  readonly options: z.ZodType<T>;
  expand(options: T, layers: number): readonly StageSpec[];
}): Plan {
  return { ...plan, expand: (options, layers) => plan.expand(plan.options.parse(options), layers) };
}
