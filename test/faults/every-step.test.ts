/**
 * A run that is stopped after every single step ends with the same bytes as one that never is. The short form stops after
 * every fourth, and does BERT alone.
 */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { dataSize } from "../../src/data/batch/batches.ts";
import { openDataset } from "../../src/data/prepared/dataset.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { Interrupted } from "../../src/util/errors.ts";
import { temporaryFolder } from "../support.ts";
import { growChain, type Kind, makeChain, objectives, runYaml } from "./chain.ts";
import { leftOvers, runResults } from "./disturb.ts";
import { full, patience } from "./scale.ts";

/** Steps between stops. */
const each = full ? 1 : 4;

describe.each((full ? ["bert", "gpt2"] : ["bert"]) satisfies Kind[])("a run of %s over 40 steps", (kind) => {
  it(`stopped after every ${each} of them ends with the same bytes: three passes over the data, a stage boundary`, {
    timeout: patience,
  }, async () => {
    const folder = join(temporaryFolder(), "chain");
    makeChain(kind, folder, 5);
    growChain(folder);
    const batch = { sequences: 3, accumulate: 2, masked: 0.15 };
    const dataset = await openDataset(join(folder, "data"));
    const { sequences } = dataSize(dataset, objectives[kind], batch);
    dataset.close();
    const passes = (40 * batch.sequences * batch.accumulate) / sequences;
    expect(passes).toBeGreaterThanOrEqual(3);
    const run = async (out: string, stopEvery: number) => {
      const path = join(folder, `${out}.yaml`);
      writeFileSync(path, runYaml(kind, out, 40, 7));
      for (let stops = 0; ; stops++) {
        let done = 0;
        try {
          await pretrain(await loadRun(path), {
            progress: () => {
              done++;
            },
            stopped: () => (done === stopEvery ? "SIGTERM" : undefined),
          });
          return stops;
        } catch (error) {
          if (!(error instanceof Interrupted)) throw error;
        }
      }
    };
    expect(await run("whole", Number.POSITIVE_INFINITY)).toBe(0);
    expect(await run("stopped", each)).toBe(40 / each);
    // What was stopped leaves other checkpoints before the last one.
    const results = (out: string) =>
      Object.fromEntries(
        Object.entries(runResults(join(folder, out))).filter(
          ([path]) => !/^(checkpoints\/step-(?!40)|run.yaml)/.test(path),
        ),
      );
    expect(results("stopped")).toEqual(results("whole"));
    expect(Object.keys(results("whole"))).toContain("checkpoints/step-40/optimizer.safetensors");
    expect(readdirSync(join(folder, "stopped", "checkpoints"))).toContain("step-40");
    expect(leftOvers(folder)).toEqual([]);
    console.log(`${kind}: ${40 / each} stops, ${passes.toFixed(2)} passes over the data`);
  });
});
