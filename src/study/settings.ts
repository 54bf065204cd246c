/**
 * STUDY.yaml read, checked and completed. Relative paths in it are relative to it. `out` holds the heavy folders,
 * `records` the small files that finished cells leave, `results` what is made of them.
 */
import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { placed } from "../engine/engine.ts";
import { type FindOptions, findModel } from "../hub/find.ts";
import { architectureOf } from "../model/architectures.ts";
import { UserError } from "../util/errors.ts";
import { type Json, readJsonObject } from "../util/json.ts";
import type { SettingsFile } from "../util/settings.ts";
import type { Branches } from "./branches.ts";
import { asJson } from "./identity.ts";
import { type MethodDefinition, type MethodGrowth, type MethodInit, methodDefinition, namedMethod } from "./methods.ts";
import type { StudyFile } from "./schema.ts";
import type { StudyTask } from "./tasks.ts";

/** What the runs of a study have in common. */
export type Training = Pick<
  StudyFile,
  "objective" | "batch" | "optimizer" | "schedule" | "evaluate" | "checkpoint" | "log" | "engine"
>;

type StudySource =
  | { readonly from: string }
  | ({
      readonly config: Json;
      readonly seed: number;
      /** Undefined: as many tokens as the run from scratch. */
      readonly length: Study["budget"] | undefined;
      readonly plan: unknown;
    } & Pick<Training, "optimizer" | "schedule">);

export interface StudyMethod extends Pick<Training, "optimizer" | "schedule"> {
  readonly name: string;
  readonly label: string;
  readonly about: string;
  readonly definition: MethodDefinition | undefined;
  /** How the source grows; undefined for a method that begins with random weights. */
  readonly growth: MethodGrowth | undefined;
  /** What the YAML says of random weights; undefined: the definition's. */
  readonly init: MethodInit | undefined;
  /** As the YAML has it; undefined: the definition's, else full. */
  readonly plan: unknown;
  /** Peak rates to try, at least one. */
  readonly rates: readonly number[];
  readonly seeds: readonly number[];
  /** Undefined: one run, to the end of its own schedule. */
  readonly branches: Branches | undefined;
}

/** Paths are absolute. */
export interface Study
  extends Pick<StudyFile, "title" | "about" | "discussion" | "out" | "accounting" | "data">,
    Required<Pick<StudyFile, "records" | "results" | "markdown">> {
  readonly file: SettingsFile;
  /** The YAML as it was written. */
  readonly text: string;
  readonly source: StudySource;
  readonly target: { readonly config: Json } | Exclude<StudyFile["target"], { config: unknown }>;
  readonly budget: { readonly tokens: number } | { readonly steps: number };
  readonly training: Training;
  readonly methods: readonly StudyMethod[];
  readonly tasks: readonly StudyTask[];
}

/** What the inputs were known by, beside the records. */
export const inputsFile = "inputs.json";

/** The method that all others are measured against. */
export const REFERENCE = "scratch";

/**
 * Reads STUDY.yaml. @param sets `key.path=value`, on top of the file @param options told of what comes from the Hub
 * @throws UserError naming the line of what does not fit
 */
export async function loadStudy(path: string, sets: readonly string[] = [], options: FindOptions = {}): Promise<Study> {
  const [{ SettingsFile }, { studySchema }, { readFile }] = await Promise.all([
    import("../util/settings.ts"),
    import("./schema.ts"),
    import("node:fs/promises"),
  ]);
  const file = new SettingsFile(path, sets);
  const read = file.checked(studySchema);
  const folder = dirname(resolve(path));
  const at = (place: string) => resolve(folder, place);
  const configOf = async (given: string | Record<string, unknown>, where: string): Promise<Json> =>
    typeof given === "string" ? readJsonObject(at(given)) : checkedConfig(asJson(given), `${path} (${where})`);
  const { title, about, discussion, accounting, source, data, target, methods: named } = read;
  const { objective, batch, optimizer, schedule, evaluate, checkpoint, log } = read;
  const engine = placed(read.engine, at);
  const training: Training = { objective, batch, optimizer, schedule, evaluate, checkpoint, log, engine };
  if (!Object.hasOwn(named, REFERENCE)) {
    throw file.error(["methods"], `there is no method \`${REFERENCE}\``, "add it: the others are measured against it");
  }
  const out = at(read.out);
  const results = read.results === undefined ? out : at(read.results);
  const records = read.records === undefined ? join(out, "records") : at(read.records);
  const sourceAt = (from: string) =>
    findModel(from, { ...options, beside: folder }).catch((error: unknown) => {
      // What is recorded of it may be enough.
      if (error instanceof UserError && existsSync(join(records, inputsFile))) return at(from);
      throw error;
    });
  return {
    ...{ file, text: await readFile(path, "utf8"), title, about, discussion, out, records, results },
    markdown: read.markdown === undefined ? join(results, "study.md") : at(read.markdown),
    data: "from" in data ? { from: at(data.from) } : { ...data, files: data.files.map(at) },
    source:
      "from" in source
        ? { from: await sourceAt(source.from) }
        : {
            config: withVocabulary(await configOf(source.config, "source.config"), data),
            seed: source.seed,
            length: lengthOf(source),
            optimizer: { ...optimizer, ...source.optimizer },
            schedule: source.schedule ?? schedule,
            plan: source.plan,
          },
    target:
      "config" in target ? { config: withVocabulary(await configOf(target.config, "target.config"), data) } : target,
    // The schema asks for one of the two.
    budget: lengthOf(read.budget) ?? { steps: 1 },
    ...{ accounting, training },
    tasks:
      Object.keys(read.tasks).length === 0 ? [] : await (await import("./tasks.ts")).studyTasks(read, folder, file),
    methods: Object.entries(named).map(([name, method]) =>
      methodOf(name, method ?? {}, read, training, `${basename(path)} (methods.${name})`),
    ),
  };
}

function methodOf(
  name: string,
  given: NonNullable<StudyFile["methods"][string]>,
  study: StudyFile,
  training: Training,
  where: string,
): StudyMethod {
  const own = given.growth !== undefined || given.init !== undefined;
  const known = namedMethod(name);
  const definition =
    given.as === undefined && (known !== undefined || own) ? known : methodDefinition(given.as ?? name, where);
  const optimizer = { ...training.optimizer, ...given.optimizer };
  const lr = given.lr ?? optimizer.lr;
  const plain = given.as === undefined ? definition : undefined;
  return {
    name,
    label: given.label ?? plain?.label ?? name,
    about: given.about ?? definition?.about ?? "",
    definition,
    growth: given.init !== undefined ? undefined : (given.growth ?? definition?.growth),
    init: given.init,
    plan: given.plan,
    rates: typeof lr === "number" ? [lr] : lr,
    optimizer,
    schedule: given.schedule ?? training.schedule,
    seeds: given.seeds ?? study.seeds,
    branches: given.branches === false ? undefined : wholeToo(study.branches),
  };
}

/** The whole budget is a branch too, the last one. */
function wholeToo(branches: StudyFile["branches"]): Branches | undefined {
  return branches && { ...branches, at: [...new Set([...branches.at, 1])].sort((a, b) => a - b) };
}

function lengthOf({ tokens, steps }: StudyFile["budget"]): Study["budget"] | undefined {
  if (tokens !== undefined) return { tokens };
  return steps === undefined ? undefined : { steps };
}

/** A config without a vocabulary's size takes the tokenizer's. */
function withVocabulary(config: Json, data: StudyFile["data"]): Json {
  if (config.vocab_size !== undefined || "from" in data) return config;
  return { ...config, vocab_size: data.tokenizer.vocabulary };
}

function checkedConfig(config: Json, where: string): Json {
  architectureOf(config, where);
  return config;
}
