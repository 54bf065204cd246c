/**
 * How much memory can be had, so that what can't fit is refused before it starts instead of being killed in the middle.
 *
 * The least of: what the kernel calls available, swap with it, and for each control group that holds this process (its
 * own and those above it) the limit less what is used, pages of files that the kernel would give back counted as free.
 * Lineage: Linux's Documentation/filesystems/proc.rst (MemAvailable), admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
 * Where there is no /proc (macOS, Windows), the machine's whole memory.
 */
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { UserError } from "./errors.ts";

export interface MemoryRoom {
  readonly bytes: number;
  /** What sets the limit, for a message. */
  readonly of: string;
}

/** @param root where proc/ and sys/ are */
export function memoryRoom(root = "/"): MemoryRoom {
  const rooms: MemoryRoom[] = [];
  const info = numbers(read(join(root, "proc/meminfo")));
  const available = info.get("MemAvailable");
  if (available === undefined) rooms.push({ bytes: totalmem(), of: "this machine" });
  else rooms.push({ bytes: 1024 * (available + (info.get("SwapFree") ?? 0)), of: "this machine" });
  for (const line of read(join(root, "proc/self/cgroup")).split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    if (controllers === "") rooms.push(...groups(join(root, "sys/fs/cgroup"), path, version2));
    else if (controllers.split(",").includes("memory")) {
      rooms.push(...groups(join(root, "sys/fs/cgroup/memory"), path, version1));
    }
  }
  return rooms.reduce((least, room) => (room.bytes < least.bytes ? room : least));
}

/**
 * Refuses what takes more memory than can be had.
 * @param least bytes it takes at least @param what it is, the beginning of a sentence
 * @throws UserError
 */
export function checkMemory(least: number, what: string, where: string, wayOut: string, room = memoryRoom()): void {
  if (least <= room.bytes) return;
  throw new UserError(`${what} takes at least ${inGigabytes(least)} of memory, ${has(room)}`, where, wayOut);
}

/** "the control group of this process has 0.52 GB to spare" */
export function has(room: MemoryRoom): string {
  return `${room.of} has ${inGigabytes(room.bytes)} to spare`;
}

export function inGigabytes(bytes: number): string {
  const gigabytes = bytes / 1e9;
  return `${gigabytes < 1e6 ? gigabytes.toFixed(gigabytes < 10 ? 2 : 0) : gigabytes.toExponential(1)} GB`;
}

type Version = (folder: string) => { readonly limit: number; readonly used: number };

const version2: Version = (folder) => {
  const stat = numbers(read(join(folder, "memory.stat")));
  return {
    limit: number(read(join(folder, "memory.max"))),
    used: number(read(join(folder, "memory.current"))) - cached(stat, "inactive_file", "active_file"),
  };
};

const version1: Version = (folder) => {
  const stat = numbers(read(join(folder, "memory.stat")));
  return {
    limit: number(read(join(folder, "memory.limit_in_bytes"))),
    used:
      number(read(join(folder, "memory.usage_in_bytes"))) - cached(stat, "total_inactive_file", "total_active_file"),
  };
};

/** What a group and those above it leave. In a container its path may be one of the host's: then the mount's own root. */
function groups(mount: string, path: string, version: Version): MemoryRoom[] {
  const rooms: MemoryRoom[] = [];
  for (let at = path; ; at = dirname(at)) {
    const { limit, used } = version(join(mount, at));
    if (Number.isFinite(limit) && Number.isFinite(used)) {
      rooms.push({ bytes: Math.max(0, limit - used), of: "the control group of this process" });
    }
    if (at === "/") return rooms;
  }
}

function cached(stat: ReadonlyMap<string, number>, ...keys: readonly string[]): number {
  return keys.reduce((sum, key) => sum + (stat.get(key) ?? 0), 0);
}

/** "max" and what is not there are no number. */
function number(text: string): number {
  return /^\d+\s*$/.test(text) ? Number(text) : Number.NaN;
}

/** Lines of a name and a number, with a colon and a unit or without. */
function numbers(text: string): ReadonlyMap<string, number> {
  return new Map([...text.matchAll(/^([^\s:]+):?\s+(\d+)/gm)].map(([, key, value]) => [key, Number(value)]));
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
