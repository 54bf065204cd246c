/** The ids of hard cases are those of transformers' own tokenizers (test/peers/tokenizer-expected.py wrote them down). */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { fixture } from "../../support.ts";

const cases: string[] = JSON.parse(readFileSync(fixture("tokenizers", "hard-cases.json"), "utf8"));
const expected: Record<string, number[][]> = JSON.parse(readFileSync(fixture("tokenizers", "expected.json"), "utf8"));

for (const [name, wanted] of Object.entries(expected)) {
  test(`${name}: no id differs`, async () => {
    const tokenizer = await openTokenizer(fixture("tokenizers", name));
    // Twice: the second time from what was kept.
    for (let round = 0; round < 2; round++) {
      const { ids, ends } = await tokenizer.encode(cases);
      cases.forEach((text, i) => {
        expect([text, Array.from(ids.subarray(ends[i - 1] ?? 0, ends[i]))]).toEqual([text, wanted[i]]);
      });
    }
    expect(wanted.flat().length).toBeGreaterThan(900);
  });
}
