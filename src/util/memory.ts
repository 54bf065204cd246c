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
    if (controllers === "") rooms.push(...groups(root, path, VERSION_2));
    else if (controllers.split(",").includes("memory")) rooms.push(...groups(root, path, VERSION_1));
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

/** Where control groups are, and what their files are called; of memory.stat the pages that the kernel would give back. */
const VERSION_2 = {
  mount: "sys/fs/cgroup",
  ...{ limit: "memory.max", used: "memory.current", cached: ["inactive_file", "active_file"] },
};
const VERSION_1 = {
  mount: "sys/fs/cgroup/memory",
  ...{ limit: "memory.limit_in_bytes", used: "memory.usage_in_bytes" },
  cached: ["total_inactive_file", "total_active_file"],
};

/** What a group and those above it leave. In a container its path may be one of the host's: then the mount's own root. */
function groups(root: string, path: string, { mount, limit, used, cached }: typeof VERSION_1): MemoryRoom[] {
  const rooms: MemoryRoom[] = [];
  for (let at = path; ; at = dirname(at)) {
    const file = (name: string) => read(join(root, mount, at, name));
    const stat = numbers(file("memory.stat"));
    const free = cached.reduce((sum, key) => sum + (stat.get(key) ?? 0), 0);
    const bytes = number(file(limit)) - (number(file(used)) - free);
    if (Number.isFinite(bytes)) rooms.push({ bytes: Math.max(0, bytes), of: "the control group of this process" });
    if (at === "/") return rooms;
  }
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
