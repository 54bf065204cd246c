/** Who writes: what names this process to others that look at the same files, now or after a reboot. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { errorCode } from "../util/system.ts";

/** Where process numbers mean the same: this host, this process namespace. */
export function placeOf(): string {
  return shortDigest(`${hostname()} ${orElse(() => readlinkSync("/proc/self/ns/pid"), "")}`);
}

/**
 * Boot and start time of a process; "" if there is none, or it has ended and only waits to be noticed by its parent,
 * which in a container may be never. Where the system does not tell, only its being there.
 */
export function lifeOf(pid: number): string {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (errorCode(error) !== "EPERM") return "";
  }
  const boot = orElse(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"), "");
  // Behind the command in brackets, which may itself hold spaces and brackets: the state first, the start 20th.
  const fields = orElse(() => readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, ""), "").split(" ");
  // The first thread ends before others that have a write to finish.
  const last = () => readdirSync(`/proc/${pid}/task`).length <= 1;
  if (fields[0] === "X" || (fields[0] === "Z" && orElse(last, true))) return "";
  return shortDigest(`${boot} ${fields[19] ?? ""}`);
}

/** Whether the process that wrote this lives; undefined: it was at another place, and nobody can ask there. */
export function livesHere({ place, pid, life }: { place: string; pid: number; life: string }): boolean | undefined {
  return place === placeOf() ? lifeOf(pid) === life : undefined;
}

export function shortDigest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8);
}

/** What can be read, or this where it can't. */
export function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
