/** `plan: full` – one stage: the whole model, all of it trained. Scratch and plain continuation are this. */
import { z } from "zod";
import { definePlan } from "./plan.ts";

export const full = definePlan({
  name: "full",
  description: "the whole model from the first step to the last",
  options: z.strictObject({}),
  expand: () => [{ name: "full", head: true, optimizer: "keep" }],
});
