/** Drawn tokens: what temperature, top-k and top-p leave, how often each comes, and that the same seed gives the same text. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createModel } from "../../src/model/create.ts";
import { pick, sample } from "../../src/tasks/sample.ts";
import { fixture, temporaryFolder } from "../support.ts";

const logits = [1, 3, 2, 3.5, -1].map(Math.log1p);

/** Shares of the ids over draws spread evenly over [0, 1). */
function shares(options: Parameters<typeof pick>[1]): number[] {
  const counts = logits.map(() => 0);
  for (let i = 0; i < 10_000; i++) counts[pick(logits, options, () => (i + 0.5) / 10_000)]++;
  return counts.map((count) => count / 10_000);
}

/** What the definition says, of weights that are left. */
function expected(weights: readonly number[]): number[] {
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / all);
}

function expectShares(found: readonly number[], weights: readonly number[]): void {
  for (const [i, share] of expected(weights).entries()) expect(found[i]).toBeCloseTo(share, 3);
}

test("a temperature, the k most probable, the fewest that reach p", () => {
  expect(shares({})).toEqual([0, 0, 0, 1, 0]);
  expectShares(shares({ temperature: 1 }), [2, 4, 3, 4.5, 0]);
  expectShares(shares({ temperature: 0.5 }), [4, 16, 9, 20.25, 0]);
  expectShares(shares({ topK: 2 }), [0, 4, 0, 4.5, 0]);
  // 4.5 of 13.5 is a third, 8.5 are 0.63.
  expectShares(shares({ topP: 0.3 }), [0, 0, 0, 1, 0]);
  expectShares(shares({ topP: 0.6 }), [0, 4, 0, 4.5, 0]);
  expectShares(shares({ topP: 0.64 }), [0, 4, 3, 4.5, 0]);
  expectShares(shares({ topK: 2, topP: 0.5 }), [0, 0, 0, 1, 0]);
});

test("the same seed gives the same text, alone or beside others; a stop ends it, and so does the room", async () => {
  const folder = join(temporaryFolder(), "model");
  const config = {
    model_type: "gpt2",
    vocab_size: 1200,
    n_positions: 24,
    n_embd: 16,
    n_layer: 1,
    n_head: 2,
    eos_token_id: 0,
  };
  await createModel(config, "config.json", folder, { seed: 3 });
  cpSync(fixture("tokenizers", "gpt2"), folder, { recursive: true });
  const options = { engine: "reference", temperature: 1, seed: 7, tokens: 100 };
  const both = await sample(folder, ["The cat", "One day there was a dog"], options);
  expect(await sample(folder, ["The cat"], options)).toEqual([both[0]]);
  expect((await sample(folder, ["The cat"], { ...options, seed: 8 }))[0].text).not.toBe(both[0].text);
  expect(both.map(({ ended }) => ended)).toEqual(["room", "room"]);
  const stop = both[0].text.slice(5, 8);
  const stopped = await sample(folder, ["The cat"], { ...options, stop: [stop] });
  expect(stopped[0]).toMatchObject({ ended: "stop", text: both[0].text.slice(0, both[0].text.indexOf(stop)) });
});
