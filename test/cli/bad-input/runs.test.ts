/** Bad runs and command lines. */
import { describe } from "vitest";
import { places, runs, words } from "./cases/runs.ts";
import { testRefusals } from "./support.ts";

for (const { title, cases } of [runs, places, words]) describe(title, () => testRefusals(cases));
