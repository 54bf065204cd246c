import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { takeLock } from "../../src/store/lock.ts";
import { lifeOf, placeOf } from "../../src/store/owner.ts";
import { UserError } from "../../src/util/errors.ts";
import { temporaryFolder } from "../support.ts";

function holder(change: object): string {
  return JSON.stringify({ pid: process.ppid, host: "here", place: placeOf(), life: lifeOf(process.ppid), ...change });
}

it("is held by one and freed by its release", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "run.lock");
  const lock = await takeLock(path, "the run");
  await expect(takeLock(path, "the run")).rejects.toThrow(`the run is held by process ${process.pid} on`);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
  (await takeLock(path, "the run")).release();
});

it.each([
  ["of a process that is gone", holder({ pid: 2 ** 22 + 1 })],
  ["of a process number that lives another life", holder({ life: "00000000" })],
  ["that is no lock", "torn {"],
])("a file %s does not block", async (_, text) => {
  const folder = temporaryFolder();
  const path = join(folder, "run.lock");
  writeFileSync(path, text);
  const lock = await takeLock(path, "the run");
  expect(JSON.parse(readFileSync(path, "utf8")).pid).toBe(process.pid);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
});

it("of another host it holds for an hour without a sign of life", async () => {
  const path = join(temporaryFolder(), "run.lock");
  writeFileSync(path, holder({ place: "elsewher" }));
  await expect(takeLock(path, "the run")).rejects.toThrow(UserError);
  const old = new Date(Date.now() - 3_700_000);
  utimesSync(path, old, old);
  (await takeLock(path, "the run")).release();
});

it("of a living process on this host it holds", async () => {
  const path = join(temporaryFolder(), "run.lock");
  writeFileSync(path, holder({}));
  await expect(takeLock(path, "the run")).rejects.toThrow(`process ${process.ppid} on here`);
});

it.runIf(process.platform === "linux")(
  "of a process that has ended and was never waited for it does not block",
  async () => {
    // The shell becomes a program that knows nothing of the child it was left with.
    const parent = spawn("sh", ["-c", "sleep 1 & echo $!; exec sleep 600"], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const pid = Number((await once(parent.stdout, "data"))[0]);
      const text = holder({ pid, life: lifeOf(pid) });
      const path = join(temporaryFolder(), "run.lock");
      writeFileSync(path, text);
      await expect(takeLock(path, "the run")).rejects.toThrow(`process ${pid} on here`);
      await expect.poll(() => readFileSync(`/proc/${pid}/stat`, "utf8"), { timeout: 60_000 }).toContain(") Z ");
      (await takeLock(path, "the run")).release();
    } finally {
      parent.kill();
    }
  },
);
