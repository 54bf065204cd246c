/** Bad runs and command lines. */
import { describe } from "vitest";
import { damage } from "./cases/damage.ts";
import { places, runs, words } from "./cases/runs.ts";
import { studies } from "./cases/studies.ts";
import { testRefusals } from "./support.ts";

for (const { title, cases } of [runs, studies, places, damage, words]) describe(title, () => testRefusals(cases));
