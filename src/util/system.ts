/**
 * What the operating system refuses, said for a person: a missing file, a place that can't be written, a full disk.
 */
import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { UserError } from "./errors.ts";

/** By the system's error code: what is wrong and the way out. */
const meanings: Readonly<Record<string, readonly [what: string, wayOut: string]>> = {
  ENOENT: ["there is no such file or folder", "check the path"],
  EACCES: ["no permission", "change its permissions or choose another place"],
  EPERM: ["no permission", "change its permissions or choose another place"],
  EROFS: ["the file system is read-only", "choose another place"],
  ENOSPC: ["the disk is full", "free some space or choose another place"],
  EDQUOT: ["the disk quota is used up", "free some space or choose another place"],
  EFBIG: ["the file would be larger than is allowed here", "write smaller shards or raise the limit (ulimit -f)"],
  ENOTDIR: ["a part of the path is a file, not a folder", "check the path"],
  EISDIR: ["it is a folder, not a file", "name a file"],
  ENAMETOOLONG: ["the name is too long for the file system", "choose a shorter one"],
  ELOOP: ["symbolic links that lead in a circle", "mend the links"],
  EMFILE: ["too many open files", "raise the limit (ulimit -n)"],
  EIO: ["the disk reports an error", "check the disk, then start again"],
};

/** Node refuses such a path itself. */
const nul = ["the path holds a NUL character", "name another"] as const;

function isNul(error: unknown): boolean {
  return errorCode(error) === "ERR_INVALID_ARG_VALUE" && error instanceof Error && error.message.includes("null bytes");
}

/** The system's error code ("ENOENT"), or undefined for any other error. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** What an operation on a file gives, or something else where the file is not there. */
export async function ifThere<T, D>(work: Promise<T>, otherwise: D): Promise<T | D> {
  try {
    return await work;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return otherwise;
    throw systemError(error);
  }
}

/**
 * The UserError that a failed file operation is for a person, or the error itself where it is none of those.
 * @param path the file, if the error does not carry it
 */
export function systemError(error: unknown, path?: string): unknown {
  const meaning = isNul(error) ? nul : meanings[errorCode(error) ?? ""];
  if (meaning === undefined || error instanceof UserError) return error;
  const own = error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : undefined;
  return new UserError(meaning[0], path ?? own ?? "file system", meaning[1], {
    cause: error,
  });
}

/** What stands at a path that is read more than once. @throws UserError for a pipe, a terminal or a device: they can't be */
export async function statLasting(path: string): Promise<Stats> {
  const info = await stat(path);
  if (info.isFile() || info.isDirectory()) return info;
  throw new UserError("not a regular file", path, "write what it gives to a file, and name that");
}
