/**
 * Files and folders written whole or not at all.
 *
 * What is written appears first beside its final place, under a temporary name; every file in it is synced, it is
 * renamed, and the folder that holds it is synced. So whatever stands under a final name is complete, whenever the
 * process, or the machine, stopped.
 *
 * A temporary name says who writes: `.NAME.PLACE-PID-LIFE-N.part`, PLACE being host and process namespace, LIFE the
 * boot and the start time of the process. The next writer of the same name removes what a dead process left:
 * - written at this place: dead if no process has that PID, or the one that has it lives another LIFE (so a reboot or
 *   a reused PID does not keep it alive);
 * - written at another place (another host of a shared file system, another container): nobody can ask there, so it
 *   counts as dead when nothing in it has changed for a day.
 * Replacing a folder takes two renames, the old one aside (`.old` instead of `.part`) and the new one in. A process
 * that dies between the two leaves only the `.old` one: the next writer, or `recoverFolder`, puts it back.
 */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "./errors.ts";
import { errorCode, systemError } from "./system.ts";

export interface FolderOptions {
  /** Replace a folder that is there and not empty; default: it is refused. */
  readonly replace?: boolean;
}

/**
 * Writes a file under its final name only when whole. A file that is there is replaced.
 * @param data what it is to hold, or what writes that
 * @throws UserError
 */
export async function writeFileWhole(
  path: string,
  data: string | Uint8Array | ((file: OutputFile) => Promise<void>),
): Promise<void> {
  try {
    const place = await finalPlace(path);
    await clearLeftOvers(place);
    const temporary = temporaryName(place, "part");
    try {
      const file = await createFile(temporary);
      try {
        if (typeof data === "function") await data(file);
        else await file.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
      } finally {
        await file.close();
      }
      await rename(temporary, place);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncFolder(dirname(place));
  } catch (error) {
    throw systemError(error, path);
  }
}

/**
 * Writes a folder under its final name only when whole: `fill` writes into the temporary folder it is given, which is
 * then synced and renamed. If `fill` throws, nothing is left.
 * @throws UserError if the target exists and is not empty, unless it is to be replaced
 */
export async function writeFolderWhole<T>(
  path: string,
  fill: (temporary: string) => Promise<T>,
  options: FolderOptions = {},
): Promise<T> {
  let place: string;
  let temporary: string;
  try {
    place = await finalPlace(path);
    await recoverFolder(place);
    await clearLeftOvers(place);
    await checkFolderFree(path, options);
    temporary = temporaryName(place, "part");
    await mkdir(temporary);
  } catch (error) {
    throw systemError(error, path);
  }
  try {
    const result = await fill(temporary);
    await syncTree(temporary);
    await checkFolderFree(path, options);
    const aside = temporaryName(place, "old");
    const replaced = (await kindOf(place)) === "full";
    if (replaced) await rename(place, aside);
    await rename(temporary, place);
    await syncFolder(dirname(place));
    if (replaced) await rm(aside, { recursive: true, force: true });
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    // What fails below this folder fails under a name that nobody knows: name the one that was asked for.
    throw systemError(error, path);
  }
}

/** For the start of a long command: whether `writeFolderWhole` would accept the target. @throws UserError */
export async function checkFolderFree(path: string, options: FolderOptions = {}): Promise<void> {
  const kind = await kindOf(path);
  if (kind === "other") {
    throw new UserError("it exists and is not a folder", path, "name a new folder, or remove what is there");
  }
  if (kind === "full" && options.replace !== true) {
    throw new UserError("the folder exists and is not empty", path, "name a new folder, or remove this one");
  }
}

/** Puts back a folder that was moved aside by a process that died before its replacement took the name. */
export async function recoverFolder(path: string): Promise<void> {
  const place = await finalPlace(path);
  if ((await kindOf(place)) !== "none") return;
  for (const found of await leftOvers(place)) {
    if (found.suffix === "old" && (await isDead(found))) {
      await rename(found.path, place);
      await syncFolder(dirname(place));
      return;
    }
  }
}

/** Removes what dead processes left beside a file's or folder's final place. Never touches a living process's. */
export async function clearLeftOvers(path: string): Promise<void> {
  const place = await finalPlace(path);
  for (const found of await leftOvers(place)) {
    // A folder moved aside whose replacement never arrived is the only good copy: recoverFolder's, not ours.
    if (found.suffix === "old" && (await kindOf(place)) === "none") continue;
    if (await isDead(found)) await rm(found.path, { recursive: true, force: true });
  }
}

/** A file being written from its start to its end. All bytes this package writes go through here. */
export class OutputFile {
  readonly #handle: FileHandle;
  #position = 0;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Bytes written so far. */
  get position(): number {
    return this.#position;
  }

  async write(data: Uint8Array): Promise<void> {
    for (let done = 0; done < data.byteLength; ) {
      // One call takes at most 2^31 − 1 bytes.
      const length = Math.min(data.byteLength - done, 2 ** 30);
      const { bytesWritten } = await this.#handle.write(data, done, length, this.#position);
      done += bytesWritten;
      this.#position += bytesWritten;
    }
  }

  /** Syncs and closes. */
  async close(): Promise<void> {
    try {
      await this.#handle.sync();
    } finally {
      await this.#handle.close();
    }
  }
}

/** Creates a file that must not exist yet: for writing inside the temporary folder of `writeFolderWhole`. */
export async function createFile(path: string): Promise<OutputFile> {
  return new OutputFile(await open(path, "wx"));
}

/** Syncs a folder's list of names. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems can't sync a folder; there is nothing more to be done about it.
    if (errorCode(error) !== "EINVAL" && errorCode(error) !== "ENOTSUP") throw error;
  } finally {
    await handle.close();
  }
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await syncTree(path);
    } else if (entry.isFile()) {
      const handle = await open(path, "r");
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    }
  }
  await syncFolder(folder);
}

/** The absolute place a path means, links followed, its parent folders made. */
async function finalPlace(path: string): Promise<string> {
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  await mkdir(dirname(absolute), { recursive: true });
  return join(await realpath(dirname(absolute)), basename(absolute));
}

async function kindOf(path: string): Promise<"none" | "empty" | "full" | "other"> {
  try {
    if (!(await stat(path)).isDirectory()) return "other";
    return (await readdir(path)).length === 0 ? "empty" : "full";
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  // A link that leads nowhere is something all the same: nothing can be renamed onto it.
  return await lstat(path).then(
    () => "other",
    () => "none",
  );
}

interface LeftOver {
  readonly path: string;
  readonly place: string;
  readonly pid: number;
  readonly life: string;
  readonly suffix: string;
}

async function leftOvers(place: string): Promise<LeftOver[]> {
  const start = `.${shortName(basename(place))}.`;
  const found: LeftOver[] = [];
  for (const name of await readdir(dirname(place))) {
    if (!name.startsWith(start)) continue;
    const match = /^([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-\d+\.(part|old)$/.exec(name.slice(start.length));
    if (match === null) continue;
    const path = join(dirname(place), name);
    found.push({ path, place: match[1], pid: Number(match[2]), life: match[3], suffix: match[4] });
  }
  return found;
}

async function isDead(found: LeftOver): Promise<boolean> {
  if (found.place === placeOf()) return lifeOf(found.pid) !== found.life;
  return Date.now() - (await newestChange(found.path)) > 24 * 3600 * 1000;
}

async function newestChange(path: string): Promise<number> {
  const info = await lstat(path);
  let newest = info.mtimeMs;
  if (info.isDirectory()) {
    for (const name of await readdir(path)) newest = Math.max(newest, await newestChange(join(path, name)));
  }
  return newest;
}

let counter = 0;

function temporaryName(place: string, suffix: "part" | "old"): string {
  const who = `${placeOf()}-${process.pid}-${lifeOf(process.pid)}-${counter++}`;
  return join(dirname(place), `.${shortName(basename(place))}.${who}.${suffix}`);
}

/** Room for the rest of a temporary name within the 255 bytes that file systems allow. */
function shortName(name: string): string {
  return Buffer.byteLength(name) <= 180 ? name : `long-${digest(name)}`;
}

/** Where process numbers mean the same: this host, this process namespace. */
export function placeOf(): string {
  return digest(`${hostname()} ${orElse(() => readlinkSync("/proc/self/ns/pid"), "")}`);
}

/** Boot and start time of a process; "" if there is none. Where the system does not tell, only its being there. */
export function lifeOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCode(error) !== "EPERM") return "";
  }
  const boot = orElse(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"), "");
  // The 22nd field; the second one, the command in brackets, may itself hold spaces and brackets.
  const started = orElse(
    () =>
      readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")[19],
    "",
  );
  return digest(`${boot} ${started}`);
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
