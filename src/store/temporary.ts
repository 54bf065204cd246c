/**
 * Temporary names, and what a dead process left under them.
 *
 * A temporary name says who writes: `.NAME.PLACE-PID-LIFE-N.part`, PLACE being host and process namespace, LIFE the
 * boot and the start time of the process. The next writer of the same name removes what a dead process left:
 * - written at this place: dead if no process has that PID, or the one that has it lives another LIFE (so a reboot or
 *   a reused PID does not keep it alive);
 * - written at another place (another host of a shared file system, another container): nobody can ask there, so it
 *   counts as dead when nothing in it has changed for a day.
 * Replacing a folder takes two renames, the old one aside (`.old` instead of `.part`) and the new one in. A process
 * that dies between the two leaves only the `.old` one: the next writer, or `recover`, puts it back.
 */
import { lstat, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorCode } from "../util/system.ts";
import { lifeOf, livesHere, placeOf, shortDigest } from "./owner.ts";
import { finalPlace, kindOf, syncFolder } from "./places.ts";

/**
 * Clears what dead processes left of a file or folder: puts back what was moved aside and not replaced, removes the rest.
 * Never touches a living process's.
 */
export async function recover(path: string): Promise<void> {
  const place = await finalPlace(path);
  await clear(dirname(place), basename(place));
}

/** The same for every name in a folder. */
export async function clearFolder(folder: string): Promise<void> {
  if ((await kindOf(folder)) === "full") await clear(folder);
}

async function clear(folder: string, of?: string): Promise<void> {
  for (const found of await leftOvers(folder, of)) {
    if (!(await isDead(found))) continue;
    const place = join(folder, of ?? found.name);
    // A folder moved aside whose replacement never arrived is the only good copy.
    const only = found.suffix === "old" && (await kindOf(place)) === "none";
    if (!only) await rm(found.path, { recursive: true, force: true });
    else if (of !== undefined || !found.name.startsWith(LONG)) await putBack(found.path, place);
  }
}

async function putBack(aside: string, place: string): Promise<void> {
  try {
    await rename(aside, place);
  } catch (error) {
    // Another one did it.
    if (errorCode(error) !== "ENOENT" && errorCode(error) !== "ENOTEMPTY") throw error;
  }
  await syncFolder(dirname(place));
}

let counter = 0;

/** A name beside a place that nobody else uses: `part` for what is not whole yet, `old` for what is being replaced. */
export function temporaryName(place: string, suffix: "part" | "old"): string {
  const who = `${placeOf()}-${process.pid}-${lifeOf(process.pid)}-${counter++}`;
  return join(dirname(place), `.${shortName(basename(place))}.${who}.${suffix}`);
}

type LeftOver = Awaited<ReturnType<typeof leftOvers>>[number];

/** @param of only those of this name, which is the name it was to have */
async function leftOvers(folder: string, of?: string) {
  const wanted = of === undefined ? undefined : shortName(of);
  return (await readdir(folder)).flatMap((entry) => {
    const match = /^\.(.+)\.([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-\d+\.(part|old)$/s.exec(entry);
    if (match === null || (wanted !== undefined && match[1] !== wanted)) return [];
    const [, name, place, pid, life, suffix] = match;
    return [{ path: join(folder, entry), name, place, pid: Number(pid), life, suffix }];
  });
}

async function isDead(found: LeftOver): Promise<boolean> {
  const alive = livesHere(found);
  if (alive !== undefined) return !alive;
  try {
    return Date.now() - (await newestChange(found.path)) > 24 * 3600 * 1000;
  } catch (error) {
    // It went while we looked: its writer lives, or another one has removed it.
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function newestChange(path: string): Promise<number> {
  const info = await lstat(path);
  let newest = info.mtimeMs;
  if (info.isDirectory()) {
    for (const name of await readdir(path)) newest = Math.max(newest, await newestChange(join(path, name)));
  }
  return newest;
}

const LONG = "long-";

/** Room for the rest of a temporary name within the 255 bytes that file systems allow. */
function shortName(name: string): string {
  return Buffer.byteLength(name) <= 180 ? name : `${LONG}${shortDigest(name)}`;
}
