/** Bad models and targets, by the command line. */
import { describe } from "vitest";
import { configs, disagreements, growth } from "./cases/models.ts";
import { files, folders } from "./cases/weights.ts";
import { testRefusals } from "./support.ts";

for (const { title, cases } of [files, folders, configs, disagreements, growth]) {
  describe(title, () => testRefusals(cases));
}
