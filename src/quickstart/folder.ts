/**
 * The quickstart's folder: `quickstart.json` says what it was started with. Started again with the same words it goes
 * on from what is there; a folder that holds anything else is refused.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileWhole } from "../store/files.ts";
import { UserError } from "../util/errors.ts";
import { type Json, readJsonObject } from "../util/json.ts";
import { errorCode, systemError } from "../util/system.ts";

const marker = "quickstart.json";

/** @returns whether the folder was begun before @throws UserError if it holds something else */
export async function openFolder(out: string, words: Json): Promise<boolean> {
  let names: readonly string[] = [];
  try {
    names = await readdir(out);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw systemError(error, out);
  }
  const path = join(out, marker);
  if (names.includes(marker)) {
    const before = await readJsonObject(path);
    if (JSON.stringify(before) !== JSON.stringify(words)) {
      throw new UserError(
        "the folder holds a quickstart of another corpus or version",
        out,
        "name another folder with --out, or remove this one",
      );
    }
    return true;
  }
  const foreign = names.find((name) => !name.startsWith("."));
  if (foreign !== undefined) {
    throw new UserError(
      `the folder is not empty and holds no quickstart (there is ${foreign})`,
      out,
      "name another folder with --out",
    );
  }
  await writeFileWhole(path, `${JSON.stringify(words, null, 2)}\n`);
  return false;
}
