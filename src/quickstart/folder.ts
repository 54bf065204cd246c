/**
 * The quickstart's folder: `quickstart.json` says what it was started with. Started again with the same words it goes
 * on from what is there; a folder that holds anything else is refused, but for text that nothing was trained on yet.
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { removeWhole, writeFileWhole } from "../store/files.ts";
import { checkNamed, removeMade } from "../store/places.ts";
import { UserError } from "../util/errors.ts";
import { type Json, readJsonObject } from "../util/json.ts";
import { errorCode, systemError } from "../util/system.ts";

const marker = "quickstart.json";

/** What is made before anything is trained, the marker last. */
const text = ["data", "tokenizer", "corpus.txt", marker];

/**
 * Takes all out that was made, if nothing is trained yet: another corpus may be given then.
 * @param given somebody's own files, which stay wherever they are
 */
export async function forgetText(out: string, given: readonly string[]): Promise<void> {
  if (out === "" || !existsSync(join(out, marker)) || existsSync(join(out, "runs"))) return;
  for (const place of text.map((name) => resolve(out, name))) {
    if (!given.some((path) => `${resolve(path)}${sep}`.startsWith(place + sep))) await removeWhole(place);
  }
  await removeMade(join(out, marker));
}

/**
 * @param given the corpus, if it is somebody's own
 * @returns whether the folder was begun before @throws UserError if it holds something else
 */
export async function openFolder(out: string, words: Json, given: readonly string[]): Promise<boolean> {
  checkNamed(out);
  let names: readonly string[] = [];
  try {
    names = await readdir(out);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw systemError(error, out);
  }
  const path = join(out, marker);
  if (names.includes(marker)) {
    const before = await readJsonObject(path);
    if (JSON.stringify(before) === JSON.stringify(words)) return true;
    await forgetText(out, given);
    if (existsSync(path)) {
      const what = "the folder holds a quickstart of another corpus or version";
      throw new UserError(what, out, "name another folder with --out, or remove this one");
    }
    names = await readdir(out);
  }
  const foreign = names.find((name) => !name.startsWith("."));
  if (foreign !== undefined) {
    const what = `the folder is not empty and holds no quickstart (there is ${foreign})`;
    throw new UserError(what, out, "name another folder with --out");
  }
  await writeFileWhole(path, `${JSON.stringify(words, null, 2)}\n`);
  return false;
}
