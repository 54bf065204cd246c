import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { checkFiles, checksumsFile } from "../../src/store/checksums.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { newestCheckpoint } from "../../src/train/run/checkpoint.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { RandomStream } from "../../src/util/random.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";
import { bertConfig, writeRun } from "../train/data.ts";

const yaml = `
out: out
model: {init: config.json}
data: {from: data}
objective: mlm
batch: {sequences: 2}
steps: 4
evaluate: {every: 4, sequences: 4}
checkpoint: {every: 2, keep: 2}
engine: {kind: reference}
`;

describe("a damaged checkpoint", () => {
  const folder = temporaryFolder();
  const run = join(folder, "out");
  const at = (step: number, ...names: string[]) => join(run, "checkpoints", `step-${step}`, ...names);
  let path: string;

  beforeAll(async () => {
    path = await writeRun(folder, { ...bertConfig, num_hidden_layers: 1 }, yaml);
    await pretrain(await loadRun(path));
  });

  it("is found and named for one flipped byte anywhere: every file, a hundred places", async () => {
    const names = readdirSync(at(4));
    expect(names.sort()).toEqual([
      ...["README.md", checksumsFile, "config.json", "model.safetensors", "optimizer.safetensors"],
      ...["tokenizer_config.json", "trainer.json", "vocab.txt"],
    ]);
    expect(await checkFiles(at(4))).toBe(true);
    const random = new RandomStream(11, "flipped bytes");
    let tried = 0;
    for (const name of names) {
      const good = readFileSync(at(4, name));
      for (let i = 0; i < 100; i++) {
        const bad = Buffer.from(good);
        bad[random.below(bad.length, 2 * tried)] ^= 1 << random.below(8, 2 * tried + 1);
        tried++;
        writeFileSync(at(4, name), bad);
        await expect(checkFiles(at(4)), `${name}, place ${i}`).rejects.toThrow(`: ${name} is not as written`);
      }
      // What a run makes of it: it says so and takes the one before.
      const said: string[] = [];
      const found = await newestCheckpoint(run, (text) => said.push(text));
      await found?.opened.close();
      expect(found?.checkpoint.position.step).toBe(2);
      expect(said).toEqual([`${at(4)} is damaged and left out (${name} is not as written)`]);
      writeFileSync(at(4, name), good);
    }
    expect(tried).toBe(100 * names.length);
    expect(await checkFiles(at(4))).toBe(true);
  });

  it("is named by all its damaged and missing files", async () => {
    const good = readFileSync(at(4, "trainer.json"));
    const vocab = readFileSync(at(4, "vocab.txt"));
    writeFileSync(at(4, "trainer.json"), "{}");
    rmSync(at(4, "vocab.txt"));
    await expect(checkFiles(at(4))).rejects.toThrow("trainer.json, vocab.txt (missing) are not as written");
    writeFileSync(at(4, "trainer.json"), good);
    writeFileSync(at(4, "vocab.txt"), vocab);
    const inspected = cli(["inspect", at(4), "--check"]);
    expect(inspected.stderr).toContain("every file is as it was written");
  });

  it("does not cost the good one its place, even where one is kept; and none whole stops the run", async () => {
    const keepOne = ["--set", "checkpoint.keep=1"];
    writeFileSync(at(4, "config.json"), `${readFileSync(at(4, "config.json"))} `);
    // keep is a setting of the run: the folder is told of the new one, as if it had been so from the start.
    const settings = join(run, "run.yaml");
    writeFileSync(settings, readFileSync(settings, "utf8").replace("keep: 2", "keep: 1"));
    const again = cli(["pretrain", path, ...keepOne]);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain("step-4 is damaged and left out (config.json is not as written)");
    expect(again.stderr).toContain("carrying on after step 2 of 4");
    expect(readdirSync(join(run, "checkpoints"))).toEqual(["step-4"]);
    expect(await checkFiles(at(4))).toBe(true);
    rmSync(at(4, "model.safetensors"));
    const stopped = cli(["pretrain", path, ...keepOne]);
    expect(stopped.code).toBe(2);
    expect(stopped.stderr).toContain("none of the run's checkpoints is whole (step-4)");
    expect(stopped.stderr).toContain("hint: put back a good copy of one, or remove this folder to begin the run anew");
  });
});

describe("a model folder", () => {
  it("carries checksums that sha256sum reads, and a growth from damaged weights is refused", () => {
    const folder = temporaryFolder();
    const [one, two] = [join(folder, "one"), join(folder, "two")];
    const grown = cli(["grow", fixture("bert-tiny"), one, "--hidden", "128", "--method", "fpi"]);
    expect(grown.code, grown.stderr).toBe(0);
    expect(cli(["inspect", one, "--check"]).code).toBe(0);
    const weights = readFileSync(join(one, "model.safetensors"));
    weights[weights.length - 9] ^= 4;
    writeFileSync(join(one, "model.safetensors"), weights);
    const again = cli(["grow", one, two, "--hidden", "256", "--method", "fpi"]);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain("one: model.safetensors is not as written");
    expect(readdirSync(folder)).toEqual(["one"]);
  });

  it("is made once: the same command finds its own work, another is refused, a damaged one is named", () => {
    const folder = temporaryFolder();
    const out = join(folder, "out");
    const grow = (hidden: number) =>
      cli(["grow", fixture("bert-tiny"), out, "--hidden", String(hidden), "--method", "aki"]);
    expect(grow(128).code).toBe(0);
    const again = grow(128);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain("holds this growth already; nothing was written");
    const other = grow(256);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain("the folder exists and is not empty");
    writeFileSync(join(out, "config.json"), "{}");
    expect(grow(128).stderr).toContain("config.json is not as written");
  });
});
