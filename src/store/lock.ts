/**
 * One writer at a time: a file that names the process that holds a folder.
 *
 * The file appears whole or not at all (it is linked into place). Whether its holder lives:
 * - on this host, in this process namespace: its PID exists and still has the life (boot, start time) written down, so
 *   a killed process, a reboot or a reused PID does not block;
 * - elsewhere (another host of a shared file system, another container): nobody can ask there, so the holder touches
 *   the file once a minute and counts as dead when it has not for an hour, by the file system's clock and this host's.
 * A dead holder's place is taken by one rename, under a lock of its own (`.NAME.guard`, taken by the same rules): of
 * several that find it one goes first, and there is no moment at which another could slip in between.
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { UserError } from "../util/errors.ts";
import { errorCode, systemError } from "../util/system.ts";
import { lifeOf, livesHere, orElse, placeOf } from "./owner.ts";
import { makeFolders } from "./places.ts";
import { temporaryName } from "./temporary.ts";

const REFRESH = 60_000;
const STALE = 3_600_000;

export interface Lock {
  release(): void;
}

/** A living process holds the lock. */
export class Held extends UserError {}

/**
 * Takes a lock. @param what what is locked, for the message ("the run")
 * @throws Held naming the holder if a living process holds it
 */
export async function takeLock(path: string, what: string): Promise<Lock> {
  const mine = `${JSON.stringify({ pid: process.pid, host: hostname(), place: placeOf(), life: lifeOf(process.pid) })}\n`;
  try {
    await makeFolders(dirname(resolve(path)));
    for (;;) {
      const theirs = await acquire(path, mine);
      if (theirs === undefined) break;
      if (isAlive(theirs, path)) throw held(theirs, path, what);
    }
  } catch (error) {
    throw systemError(error, path);
  }
  const timer = setInterval(() => {
    const now = new Date();
    // Where the folder is gone, whoever writes there next will say so.
    orElse(() => utimesSync(path, now, now), undefined);
  }, REFRESH).unref();
  const release = () => {
    clearInterval(timer);
    process.removeListener("exit", release);
    if (read(path) === mine) rmSync(path, { force: true });
  };
  process.on("exit", release);
  return { release };
}

/** For the start of a long command: whether a lock could be taken now. @throws UserError naming the holder if not */
export function checkLock(path: string, what: string): void {
  const theirs = read(path);
  if (theirs !== undefined && isAlive(theirs, path)) throw held(theirs, path, what);
}

/** Takes the lock if it is free or its holder is dead. @returns undefined, or what the holder wrote */
async function acquire(path: string, mine: string): Promise<string | undefined> {
  const own = temporaryName(path, "part");
  writeFileSync(own, mine);
  try {
    for (;;) {
      try {
        linkSync(own, path);
        return undefined;
      } catch (error) {
        if (errorCode(error) !== "EEXIST") throw error;
      }
      const theirs = read(path);
      if (theirs === undefined) continue;
      if (isAlive(theirs, path)) return theirs;
      const guard = join(dirname(path), `.${basename(path).replace(/^\./, "")}.guard`);
      if ((await acquire(guard, mine)) !== undefined) {
        // Another one is at it.
        await sleep(10);
        continue;
      }
      try {
        // Nobody but the guard's holder replaces it; a living one that came meanwhile is seen here.
        if (read(path) !== theirs) continue;
        renameSync(own, path);
        return undefined;
      } finally {
        rmSync(guard, { force: true });
      }
    }
  } finally {
    rmSync(own, { force: true });
  }
}

function read(path: string): string | undefined {
  return orElse(() => readFileSync(path, "utf8"), undefined);
}

const holderSchema = z.object({ pid: z.number(), host: z.string(), place: z.string(), life: z.string() });

function holderOf(text: string): z.infer<typeof holderSchema> | undefined {
  return orElse(() => holderSchema.parse(JSON.parse(text)), undefined);
}

function isAlive(text: string, path: string): boolean {
  const holder = holderOf(text);
  const changed = () => Date.now() - statSync(path).mtimeMs < STALE;
  return holder !== undefined && (livesHere(holder) ?? orElse(changed, false));
}

function held(text: string, path: string, what: string): Held {
  const holder = holderOf(text);
  const held = `${what} is held by process ${holder?.pid} on ${holder?.host}`;
  return new Held(held, path, "wait for it to end or stop it; if it is gone for sure, remove this file");
}
