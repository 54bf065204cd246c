/**
 * What a study is given from outside: text or prepared data, and perhaps a source model. Each is known by the hashes of
 * its files. They are kept in `records/inputs.json`, so that a study whose inputs are out of reach still knows its cells.
 */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { configFile, readConfig } from "../checkpoint/folder.ts";
import { infoJson, openDataset } from "../data/prepared/dataset.ts";
import { findSources } from "../data/text/sources.ts";

import { openModel } from "../model/load.ts";
import { hashFiles } from "../store/checksums.ts";
import { writeFileWhole } from "../store/files.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import { readJsonObject } from "../util/json.ts";
import { asJson, keyOf } from "./identity.ts";
import { inputsFile, type Study } from "./settings.ts";

const inputsSchema = z.strictObject({
  format: z.literal(1),
  data: z.union([
    z.strictObject({ files: z.array(z.strictObject({ name: z.string(), sha256: z.string() })) }),
    z.strictObject({ prepared: z.string(), length: z.int().min(1), vocabulary: z.int().min(1) }),
  ]),
  source: z.strictObject({ key: z.string(), config: z.record(z.string(), z.unknown()) }).optional(),
});

export type StudyInputs = z.infer<typeof inputsSchema>;

/** @throws UserError if an input is neither there nor recorded */
export async function resolveInputs(study: Study): Promise<StudyInputs> {
  const path = join(study.records, inputsFile);
  const before = existsSync(path) ? inputsSchema.safeParse(await readJsonObject(path)).data : undefined;
  const inputs: StudyInputs = {
    format: 1,
    data: await dataOf(study, before?.data),
    source: await sourceOf(study, before?.source),
  };
  return inputs;
}

/** Keeps them beside the records. */
export async function writeInputs(study: Study, inputs: StudyInputs): Promise<void> {
  await writeFileWhole(join(study.records, inputsFile), `${JSON.stringify(inputs, null, 2)}\n`);
}

async function dataOf({ data }: Study, before: StudyInputs["data"] | undefined): Promise<StudyInputs["data"]> {
  if ("from" in data) {
    if (!existsSync(data.from) && before !== undefined && "prepared" in before) return before;
    await using keep = keeping();
    const { sources, ...info } = keep(await openDataset(data.from)).info;
    const json = infoJson({
      ...info,
      sources: sources.map((source) => ({ ...source, path: basename(source.path) })),
    });
    return { prepared: keyOf(json), length: info.length, vocabulary: info.tokenizer.vocabulary };
  }
  const names = data.files.map((path) => basename(path));
  const missing = data.files.find((path) => !existsSync(path));
  if (missing !== undefined) {
    // The first files of what was recorded may be folders' content: then only the whole list can stand for it.
    if (before !== undefined && "files" in before && before.files.length >= names.length) return before;
    throw new UserError("there is no such text", missing, "name the files anew: --set 'data.files=[…]'");
  }
  const sources = await findSources(data.files);
  const files = [];
  for (const { path } of sources) {
    files.push({ name: basename(path), sha256: Object.values(await hashFiles([path]))[0] });
  }
  return { files };
}

async function sourceOf({ source }: Study, before: StudyInputs["source"]): Promise<StudyInputs["source"]> {
  if (!("from" in source)) return undefined;
  if (!existsSync(source.from) && before !== undefined) return before;
  await using keep = keeping();
  const opened = keep(await openModel(source.from));
  if (opened.model.outputs.lm === "none") {
    throw new UserError("it has no language-model head", source.from, "draw one with `bert2bert grow … --add-head`");
  }
  const files = await hashFiles([join(source.from, configFile), ...opened.weights.files]);
  return { key: keyOf({ files }), config: await readConfig(source.from) };
}

/** A recorded source's config. */
export function sourceConfig(inputs: StudyInputs): Json {
  if (inputs.source === undefined) throw new Error("the study trains its own source");
  return asJson(inputs.source.config);
}
