/** Repeats a growth from its growth.json alone: the same source gives the same bytes. */
import { basename } from "node:path";
import { optimizerFile } from "../checkpoint/optimizer.ts";
import { outputsWithLanguageModel } from "../model/head.ts";
import type { OpenModel } from "../model/load.ts";
import { hashFiles } from "../store/checksums.ts";
import { UserError } from "../util/errors.ts";
import { readJsonObject } from "../util/json.ts";
import { filesOf } from "./apply.ts";
import { planGrowth, targetModel } from "./plan.ts";
import { type GrowthRecord, parseRecord } from "./record.ts";

/** @param path a growth.json @throws UserError if it can't be understood, or was not made from this source */
export async function repeatedPlan(source: OpenModel, path: string) {
  const record = parseRecord(await readJsonObject(path), path);
  await checkSource(source, record, path);
  const outputs = record.addHead ? outputsWithLanguageModel(source.model, source.folder) : source.model.outputs;
  const target = targetModel(source.model, record.targetConfig, path, outputs);
  const plan = planGrowth(source.model, target, record.choices);
  if (plan.method.learned === true) {
    const wayOut = "grow with the same words and --data instead";
    throw new UserError("its weights were learned on data, which the record does not hold", path, wayOut);
  }
  return { plan, dtype: record.dtype, keepNotFinite: record.notFinite > 0 };
}

/** @param where the record's file, for messages @throws UserError if a file of the source is not the one recorded */
export async function checkSource(source: OpenModel, record: GrowthRecord, where: string): Promise<void> {
  const hashes = await hashFiles(filesOf(source, record.source[optimizerFile] !== undefined));
  // Once files of folders below were recorded by their names alone.
  const read = { ...record.source };
  for (const name of Object.keys(hashes)) {
    const before = basename(name);
    if (name in read || !(before in read) || before in hashes) continue;
    read[name] = read[before];
    delete read[before];
  }
  for (const name of new Set([...Object.keys(read), ...Object.keys(hashes)])) {
    if (hashes[name] === read[name]) continue;
    const what = `${name} of ${source.folder} is not the one it was grown from`;
    throw new UserError(what, where, "name the source as it was when it was grown");
  }
}
