/** Bad tasks, prompts and gaps, by the command line. */
import { describe } from "vitest";
import { tasks, tuning } from "./cases/tasks.ts";
import { testRefusals } from "./support.ts";

for (const { title, cases } of [tasks, tuning]) {
  describe(title, () => testRefusals(cases));
}
