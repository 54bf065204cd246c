/** Bad text, tokenizers and prepared data, by the command line. */
import { describe } from "vitest";
import { corpora, prepared, tokenizers } from "./cases/texts.ts";
import { testRefusals } from "./support.ts";

for (const { title, cases } of [corpora, tokenizers, prepared]) describe(title, () => testRefusals(cases));
