/**
 * One writer at a time: a file that names the process that holds a folder.
 *
 * The file appears whole or not at all (it is linked into place). Whether its holder lives:
 * - on this host, in this process namespace: its PID exists and still has the life (boot, start time) written down, so
 *   a killed process, a reboot or a reused PID does not block;
 * - elsewhere (another host of a shared file system, another container): nobody can ask there, so the holder touches
 *   the file once a minute and counts as dead when it has not for an hour.
 * A dead holder's file is moved aside and looked at again before it goes, so that of two who find it one goes first.
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { UserError } from "./errors.ts";
import { lifeOf, placeOf } from "./owner.ts";
import { errorCode, systemError } from "./system.ts";

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
  const own = `${path}.${placeOf()}-${process.pid}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    writeFileSync(own, mine);
    for (;;) {
      try {
        linkSync(own, path);
        break;
      } catch (error) {
        if (errorCode(error) !== "EEXIST") throw error;
      }
      const theirs = read(path);
      if (theirs === undefined) continue;
      if (isAlive(theirs, path)) throw held(theirs, path, what);
      const aside = `${own}.dead`;
      try {
        renameSync(path, aside);
      } catch (error) {
        if (errorCode(error) === "ENOENT") continue;
        throw error;
      }
      if (read(aside) === theirs) unlinkSync(aside);
      // Somebody else was quicker and what we moved is theirs: give it back.
      else renameSync(aside, path);
    }
  } catch (error) {
    throw systemError(error, path);
  } finally {
    rmSync(own, { force: true });
  }
  const timer = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(path, now, now);
    } catch {
      // The folder is gone; whoever writes there next will say so.
    }
  }, REFRESH).unref();
  const release = () => {
    clearInterval(timer);
    process.removeListener("exit", release);
    if (read(path) === mine) rmSync(path, { force: true });
  };
  process.on("exit", release);
  return { release };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly place: string;
  readonly life: string;
}

function holderOf(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return undefined;
    if (!("pid" in value && "host" in value && "place" in value && "life" in value)) return undefined;
    const { pid, host, place, life } = value;
    return typeof pid === "number" && typeof host === "string" && typeof place === "string" && typeof life === "string"
      ? { pid, host, place, life }
      : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(text: string, path: string): boolean {
  const holder = holderOf(text);
  if (holder === undefined) return false;
  if (holder.place === placeOf()) return lifeOf(holder.pid) === holder.life;
  try {
    return Date.now() - statSync(path).mtimeMs < STALE;
  } catch {
    return false;
  }
}

function held(text: string, path: string, what: string): Held {
  const holder = holderOf(text);
  return new Held(
    `${what} is held by process ${holder?.pid} on ${holder?.host}`,
    path,
    "wait for it to end or stop it; if it is gone for sure, remove this file",
  );
}
