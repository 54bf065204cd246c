/** Readers of option values, for commander. */
import type { FloatDType } from "../checkpoint/dtype.ts";
import { modelPlace } from "../store/places.ts";
import { suggestion, UserError } from "../util/errors.ts";
import { note } from "./output.ts";

/** A model folder's path: where a run's folder is given, the model in it. */
export function modelFolder(path: string): string {
  return modelPlace(path, note);
}

/** A whole number from `least` to 2^53 − 1. @param name the option, for messages */
export function wholeNumber(name: string, least = 0): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new UserError(`\`${text}\` is no whole number of at least ${least}`, name, "give one");
  };
}

/** For an option that may be given again. */
export function gather(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

/** A number from 0 to `most`. @param name the option, for messages */
export function share(name: string, most: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (value >= 0 && value <= most) return value;
    throw new UserError(`\`${text}\` is no number from 0 to ${most}`, name, "give one");
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
