/** A disk that is really full, and a process that the kernel really kills for its memory; skipped, and said, where neither can be made. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkFiles } from "../../src/store/checksums.ts";
import { cli, temporaryFolder } from "../support.ts";
import { growChain, makeChain, runYaml } from "./chain.ts";
import { hashes, leftOvers, main, runResults } from "./disturb.ts";
import { howMany, patience } from "./scale.ts";

const chain = join(temporaryFolder(), "chain");
let undisturbed: Record<string, unknown>;
let grown: Record<string, string>;

beforeAll(() => {
  makeChain("gpt2", chain, 6);
  growChain(chain);
  writeFileSync(join(chain, "run.yaml"), runYaml("gpt2", "run", 60, 4));
  const done = cli(["pretrain", "run.yaml"], { cwd: chain });
  expect(done.code, done.stderr).toBe(0);
  undisturbed = runResults(join(chain, "run"));
  grown = hashes(join(chain, "grown"));
  rmSync(join(chain, "run"), { recursive: true });
});

/** All checkpoints of a run folder; each must be whole. */
async function wholeCheckpoints(run: string): Promise<readonly string[]> {
  const folder = join(run, "checkpoints");
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith(".")) : [];
  for (const name of names) expect(await checkFiles(join(folder, name))).toBe(true);
  return names;
}

/** A small file system of its own; undefined where this user may not make one. */
function smallDisk(bytes: number): string | undefined {
  const place = join(temporaryFolder(), "disk");
  mkdirSync(place);
  const made = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "none", place], { encoding: "utf8" });
  if (made.status !== 0) {
    console.warn(`skipped: no small file system can be mounted (${made.stderr?.trim() || made.error?.message})`);
    return undefined;
  }
  afterAll(() => {
    spawnSync("umount", [place]);
  });
  return place;
}

const disk = smallDisk(4 * 2 ** 20);

describe.skipIf(disk === undefined)("a full disk", () => {
  const place = disk ?? "";

  /** Leaves so many bytes free. */
  const fill = (free: number) => {
    const { bavail, bsize } = statfsSync(place);
    writeFileSync(join(place, "filler"), Buffer.alloc(Math.max(0, bavail * bsize - free)));
  };

  it("stops a run with a sentence; checkpoints stay whole, and with room the same words go on to the same bytes", {
    timeout: patience,
  }, async () => {
    const needed = 700_000;
    const wanted = howMany(2, 24);
    let stopped = 0;
    for (let i = 0; i < wanted; i++) {
      for (const name of readdirSync(place)) rmSync(join(place, name), { recursive: true });
      cpSync(chain, place, { recursive: true });
      fill(Math.round((needed * (i + 0.5)) / wanted));
      const full = cli(["pretrain", "run.yaml"], { cwd: place });
      if (full.code !== 0) {
        stopped++;
        expect(full.code, full.stderr).toBe(2);
        expect(full.stderr).toMatch(/^error: .*(the disk is full|GB are free)\nhint: free some space/m);
      }
      await wholeCheckpoints(join(place, "run"));
      rmSync(join(place, "filler"));
      const again = cli(["pretrain", "run.yaml"], { cwd: place });
      expect(again.code, again.stderr).toBe(0);
      expect(runResults(join(place, "run"))).toEqual(undisturbed);
      expect(leftOvers(place)).toEqual([]);
    }
    expect(stopped).toBeGreaterThan(0);
    console.log(`a full disk: ${stopped} runs of ${wanted} stopped`);
  });

  it("stops growth and leaves nothing; with room the same words succeed", () => {
    for (const name of readdirSync(place)) rmSync(join(place, name), { recursive: true });
    cpSync(chain, place, { recursive: true });
    rmSync(join(place, "grown"), { recursive: true });
    fill(30_000);
    const words = "grow small grown --hidden 16 --layers 2 --method aki --map random --depth stack --seed 3".split(" ");
    const full = cli(words, { cwd: place });
    expect(full.code, full.stderr).toBe(2);
    expect(readdirSync(place)).not.toContain("grown");
    expect(leftOvers(place)).toEqual([]);
    rmSync(join(place, "filler"));
    expect(cli(words, { cwd: place }).code).toBe(0);
    expect(hashes(join(place, "grown"))).toEqual(grown);
  });
});

/** A control group of its own with a limit of memory; undefined where this user may not make one. */
function memoryGroup(bytes: number): string | undefined {
  const roots: readonly (readonly [folder: string, file: string])[] = [
    ["/sys/fs/cgroup/memory", "memory.limit_in_bytes"],
    ["/sys/fs/cgroup", "memory.max"],
  ];
  for (const [root, file] of roots) {
    const group = join(root, `bert2bert-test-${process.pid}`);
    try {
      mkdirSync(group);
    } catch {
      continue;
    }
    afterAll(() => {
      try {
        rmdirSync(group);
      } catch {
        // A process in it is still ending.
      }
    });
    try {
      readFileSync(join(group, file));
      writeFileSync(join(group, file), String(bytes));
      return group;
    } catch {}
  }
  console.warn("skipped: no control group with a limit of memory can be made");
  return undefined;
}

const group = memoryGroup(600 * 2 ** 20);

describe.skipIf(group === undefined)("a process that the kernel kills for its memory", () => {
  it("leaves whole checkpoints, and the same words go on to the same bytes", { timeout: patience }, async () => {
    const leak = fileURLToPath(new URL("leak.mjs", import.meta.url));
    const wanted = howMany(2, 20);
    let kept = 0;
    let killed = 0;
    for (let i = 0; i < wanted; i++) {
      rmSync(join(chain, "run"), { recursive: true, force: true });
      // Killed at the start, or once there is a checkpoint; the slower it takes memory the further it comes.
      const rate = Math.round(900 - (600 * i) / wanted);
      const from = i % 2 === 0 ? "run/checkpoints/step-4" : ".";
      const command = `echo $$ > ${group}/cgroup.procs && exec '${process.execPath}' --import '${leak}' '${main}' pretrain run.yaml`;
      const done = spawnSync("sh", ["-c", command], {
        cwd: chain,
        encoding: "utf8",
        env: { ...process.env, BERT2BERT_LEAK: `${rate} ${from}` },
      });
      if (done.status !== 0) {
        killed++;
        expect(done.signal, done.stderr).toBe("SIGKILL");
      }
      if ((await wholeCheckpoints(join(chain, "run"))).length > 0) kept++;
      const again = cli(["pretrain", "run.yaml"], { cwd: chain });
      expect(again.code, again.stderr).toBe(0);
      expect(runResults(join(chain, "run"))).toEqual(undisturbed);
      expect(leftOvers(chain)).toEqual([]);
    }
    expect(killed).toBeGreaterThan(0);
    console.log(`out of memory: ${killed} of ${wanted} killed by the kernel, ${kept} with a checkpoint to go on from`);
  });
});
