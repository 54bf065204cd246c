import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openDataset } from "../../src/data/prepared/dataset.ts";
import { unigramLoss } from "../../src/study/frequencies.ts";
import { temporaryFolder } from "../support.ts";
import { vocabulary, writeData } from "../train/data.ts";

it("is the validation's cross entropy under the training part's frequencies", async () => {
  const folder = temporaryFolder();
  await writeData(folder);
  const ids = (part: string) => {
    const bytes = readFileSync(join(folder, `${part}.tokens`));
    return Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(2 * i));
  };
  const training = ids("train");
  const probability = (id: number) =>
    (training.filter((one) => one === id).length + 1) / (training.length + vocabulary);
  const validation = ids("validation");
  const expected = validation.reduce((sum, id) => sum - Math.log(probability(id)), 0) / validation.length;
  const dataset = await openDataset(folder);
  expect(unigramLoss(dataset)).toBeCloseTo(expected, 10);
  dataset.close();
});
