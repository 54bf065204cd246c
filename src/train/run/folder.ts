/**
 * A run folder: `run.yaml` as resolved, `metrics.jsonl` and the same for TensorBoard, `checkpoints/`, `model/` at the end, `report.html`, and while
 * somebody writes, `run.lock`. A folder that holds the same run is carried on; any other is refused.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { removeWhole, writeFileWhole } from "../../store/files.ts";
import { checkLock, type Lock, takeLock } from "../../store/lock.ts";
import { removeMade } from "../../store/places.ts";
import { UserError } from "../../util/errors.ts";
import { ifThere } from "../../util/system.ts";
import { stepsThere } from "./checkpoint.ts";
import { eventsFile } from "./events.ts";
import { anotherRun, differences, FREE, type LoadedRun, type RunSettings, spelledOut } from "./settings.ts";

export const runFile = "run.yaml";
export const metricsFile = "metrics.jsonl";
export const modelFolder = "model";
export const reportFile = "report.html";
const lockFile = "run.lock";

/** What may stand in a folder that a run begins in: what one that ended early leaves. */
const ours = [lockFile, metricsFile, eventsFile];

/** The run that a folder holds, as its run.yaml spells it out; undefined if it holds none. @throws UserError */
export async function storedRun(folder: string): Promise<unknown> {
  const text = await ifThere(readFile(join(folder, runFile), "utf8"), undefined);
  if (text === undefined) return undefined;
  const { parse } = await import("yaml");
  try {
    return parse(text);
  } catch (cause) {
    throw new UserError("is not YAML", join(folder, runFile), "remove the folder, or name another in `out`", { cause });
  }
}

/**
 * How `out` stands to a run: not begun, begun, or begun with a model that lay elsewhere.
 * @throws UserError if it holds anything else, or a living process writes there
 */
export async function checkRunFolder(run: LoadedRun): Promise<"new" | "same" | "moved"> {
  const { out } = run.settings;
  checkLock(join(out, lockFile), "the run");
  const before = await storedRun(out);
  if (before === undefined) {
    const names = await ifThere(readdir(out), []);
    const foreign = names.find((name) => !ours.includes(name) && !name.startsWith("."));
    if (foreign !== undefined) {
      const what = `the folder is not empty and holds no run (there is ${foreign})`;
      throw new UserError(what, out, "name another folder in `out`, or remove this one");
    }
    return "new";
  }
  const found = differences(before, spelledOut(run.settings));
  const matter = found.filter(({ key }) => !FREE.test(key));
  if (matter.length > 0) throw anotherRun(run, matter, await stepsThere(out));
  return found.some(({ key }) => key.startsWith("model.")) ? "moved" : "same";
}

/** Takes the folder for this process. @throws UserError if a living process holds it */
export function lockRunFolder(out: string): Promise<Lock> {
  return takeLock(join(out, lockFile), "the run");
}

export async function writeRunFile(settings: RunSettings): Promise<string> {
  const { stringify } = await import("yaml");
  const head = "# This run as resolved: every setting, paths relative to this folder.\n";
  const text = head + stringify(spelledOut(settings), { lineWidth: 120 });
  await writeFileWhole(join(settings.out, runFile), text);
  return text;
}

/** Removes what a run leaves that ended before anything was saved: corrected, it can be given again. Its lock is free. */
export async function forgetRun(out: string): Promise<void> {
  if (existsSync(join(out, modelFolder))) return;
  for (const name of [runFile, metricsFile, eventsFile]) await removeWhole(join(out, name));
  await removeMade(join(out, runFile));
}
