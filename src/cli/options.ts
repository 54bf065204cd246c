/** Readers of option values, for commander. */
import { existsSync } from "node:fs";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { FloatDType } from "../checkpoint/dtype.ts";
import { modelPlace } from "../store/places.ts";
import { suggestion, UserError } from "../util/errors.ts";
import { formatBytes, note, Progress } from "./output.ts";

/** What is read as text, for help. */
export const TEXTS =
  "text, JSON Lines (.gz, .zst, .xz too), Parquet, Arrow, folders and patterns of them, what datasets saved";
export const FIELD = "the field of JSON Lines, or the column, that holds the text (default: text)";

/** A model folder's path, or its name on the Hub: where a run's folder is given, the model in it. */
export function modelFolder(path: string): string {
  return modelPlace(path, note);
}

/** A tokenizer folder's path, or the name on the Hub of a model whose tokenizer is meant. */
export function tokenizerFolder(path: string): string {
  return modelPlace(path, note);
}

/** What is asked of the Hub, said and shown as it goes on. */
export function hubTelling() {
  const progress = new Progress();
  return {
    say: (text: string) => progress.end(text),
    progress: (file: string, done: number, all: number) =>
      progress.update(() => `from the Hub: ${file}, ${formatBytes(done)} of ${formatBytes(all)}`),
  };
}

/** Before a command's action: what `modelFolder` and `tokenizerFolder` read and is no folder is looked for on the Hub. */
export async function placeModels(command: CommandUnknownOpts): Promise<void> {
  const placed = async (read: unknown, given: unknown) => {
    const wanted = read === modelFolder ? "model" : read === tokenizerFolder ? "tokenizer" : undefined;
    const missing = wanted !== undefined && typeof given === "string" && !existsSync(given);
    if (!missing) return given;
    const { findModel } = await import("../hub/find.ts");
    return findModel(given, { wanted, ...hubTelling() });
  };
  for (const [i, { parseArg }] of command.registeredArguments.entries()) {
    command.processedArgs[i] = await placed(parseArg, command.processedArgs[i]);
  }
  for (const option of command.options) {
    const name = option.attributeName();
    const given: unknown = command.getOptionValue(name);
    const place = await placed(option.parseArg, given);
    if (place !== given) command.setOptionValueWithSource(name, place, command.getOptionValueSource(name) ?? "cli");
  }
}

/** A whole number from `least` to `most`. @param name the option, for messages */
export function wholeNumber(name: string, least = 0, most = Number.MAX_SAFE_INTEGER) {
  const range = most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `of at least ${least}`;
  return number(name, `whole number ${range}`, /^\d+$/, (value) => value >= least && value <= most);
}

/** For an option that may be given again. */
export function gather(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

/** A number from 0 to `most`. @param name the option, for messages */
export function share(name: string, most: number) {
  return number(name, `number from 0 to ${most}`, /\S/, (value) => value >= 0 && value <= most);
}

/** GFLOP/s. */
export const speed = number(
  "--speed",
  "number above 0",
  /\S/,
  (value) => value > 0 && Number.isFinite(value),
  "give GFLOP/s, such as 100",
);

function number(
  name: string,
  what: string,
  written: RegExp,
  fits: (value: number) => boolean,
  wayOut = "give one",
): (text: string) => number {
  return (text) => {
    const value = written.test(text) ? Number(text) : Number.NaN;
    if (fits(value)) return value;
    throw new UserError(`\`${text}\` is no ${what}`, name, wayOut);
  };
}

/** The format that `--dtype` names; undefined where it is not given. @throws UserError */
export async function floatDType(name: string | undefined): Promise<FloatDType | undefined> {
  if (name === undefined) return undefined;
  const { floatDTypes } = await import("../checkpoint/dtype.ts");
  const found = floatDTypes.find((dtype) => dtype === name.toUpperCase());
  if (found !== undefined) return found;
  throw new UserError(`there is no format \`${name}\``, "--dtype", suggestion(name, floatDTypes));
}
