/**
 * Links that lead out of their folder.
 *
 * A folder from elsewhere may hold a link in place of a file, and what is read through it may be copied into what is
 * written: so a file that belongs to a folder must lie in it. One kind of link out is common and harmless, the one that
 * the Hugging Face Hub's cache is made of: snapshots/REVISION/NAME, or a NAME in folders of the repository below, leads
 * to blobs/HASH beside `snapshots`.
 */
import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { UserError } from "../util/errors.ts";
import { errorCode, systemError } from "../util/system.ts";

/**
 * Whether a file of a folder lies in it, links followed; one that is not there does.
 * @throws UserError if it leads out
 */
export async function checkInside(folder: string, name: string): Promise<void> {
  const path = join(folder, name);
  let home: string;
  let place: string;
  try {
    home = await realpath(folder);
    place = await realpath(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw systemError(error, path);
  }
  const way = relative(home, place);
  if (way !== ".." && !way.startsWith(`..${sep}`)) return;
  for (let at = home; dirname(at) !== at; at = dirname(at)) {
    if (basename(dirname(at)) === "snapshots" && dirname(place) === join(dirname(dirname(at)), "blobs")) return;
  }
  throw new UserError(`it is a link that leads out of its folder, to ${place}`, path, "put the file itself there");
}

/** The model on the Hub that a path in its cache belongs to, as `org/name`. */
export function repoOfCached(path: string): string | undefined {
  const [, owner, name] = /[/\\]models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]/.exec(path) ?? [];
  return owner === undefined ? undefined : `${owner}/${name}`;
}
