/**
 * Random kills: growth and a two-stage run as one process group, killed at random moments and started again with the
 * same words each time, end with the same bytes as undisturbed ones. 200 kills of each kind with `npm run test:faults`.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RandomStream } from "../../src/util/random.ts";
import { temporaryFolder } from "../support.ts";
import { chainResults, type Kind, makeChain, runYaml, startChain } from "./chain.ts";
import { leftOvers } from "./disturb.ts";
import { howMany, patience } from "./scale.ts";

/** Runs the chain, and kills its process group after so many seconds. @returns whether it ended before that */
function live(folder: string, seconds: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = startChain(folder);
    let errors = "";
    child.stderr?.on("data", (data) => {
      errors += data;
    });
    const timer = setTimeout(() => process.kill(-(child.pid ?? 0), "SIGKILL"), 1000 * seconds);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (signal === "SIGKILL") resolve(false);
      else if (code === 0) resolve(true);
      else reject(new Error(`it ended with ${code ?? signal}\n${errors}`));
    });
  });
}

describe.each(["bert", "gpt2"] satisfies Kind[])("growth and a run of %s", (kind) => {
  it("killed at random moments end with the same bytes", { timeout: patience }, async () => {
    const folder = join(temporaryFolder(), "chain");
    makeChain(kind, folder, 40);
    writeFileSync(join(folder, "run.yaml"), runYaml(kind, "run", 60, 5));
    const began = performance.now();
    expect(await live(folder, 600)).toBe(true);
    const seconds = (performance.now() - began) / 1000;
    const undisturbed = chainResults(folder);
    expect(Object.keys(undisturbed)).toContain("checkpoints/step-60/optimizer.safetensors");

    const random = new RandomStream(23, `kills of ${kind}`);
    const wanted = howMany(3, 200);
    let kills = 0;
    let ended = 0;
    // On a machine that has become slower, later kills until a run ends.
    let reach = 0.8 * seconds;
    const clear = () => {
      for (const name of ["grown", "run"]) rmSync(join(folder, name), { recursive: true, force: true });
    };
    clear();
    for (let lives = 0; kills < wanted || ended === 0; lives++) {
      // Enough kills: the last run may end.
      if (!(await live(folder, kills < wanted ? reach * random.uniform(lives) : 600))) {
        kills++;
        reach *= 1.03;
        continue;
      }
      ended++;
      reach = 0.8 * seconds;
      expect(chainResults(folder), `the ${ended}. end, after ${kills} kills`).toEqual(undisturbed);
      expect(leftOvers(folder)).toEqual([]);
      clear();
    }
    console.log(
      `${kind}: ${kills} kills, ${ended} runs ended with the same bytes (undisturbed: ${seconds.toFixed(1)} s)`,
    );
  });
});
