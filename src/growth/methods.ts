/** The width methods there are: one file under methods/ and one line here for each. */
import { named, suggestion, UserError } from "../util/errors.ts";
import type { OptionValues, WidthMethod } from "./growth.ts";
import { aki } from "./methods/aki.ts";
import { direct } from "./methods/direct.ts";
import { fpi } from "./methods/fpi.ts";
import { fresh } from "./methods/fresh.ts";
import { hyperclone } from "./methods/hyperclone.ts";
import { isometric } from "./methods/isometric.ts";
import { lemon } from "./methods/lemon.ts";
import { ligo } from "./methods/ligo.ts";
import { quiet } from "./methods/quiet.ts";
import { sparkling } from "./methods/sparkling.ts";
import { tile } from "./methods/tile.ts";

export const methods: readonly WidthMethod[] = [
  fpi,
  aki,
  direct,
  fresh,
  lemon,
  isometric,
  hyperclone,
  quiet,
  tile,
  sparkling,
  ligo,
];

/** @throws UserError if there is no such method */
export function methodOf(name: string): WidthMethod {
  return named(name, methods, `there is no method \`${name}\``, "--method");
}

/**
 * Every option of a method, with its default where none is given.
 * @throws UserError for an option that the method does not have, or a value that the option does not take
 */
export function optionsOf(method: WidthMethod, given: OptionValues): OptionValues {
  for (const name of Object.keys(given)) {
    if (method.options.some((option) => option.name === name)) continue;
    const known = method.options.map((option) => `--${option.name}`);
    const wayOut = known.length === 0 ? "it has no options: leave it out" : suggestion(`--${name}`, known);
    throw new UserError(`\`${method.name}\` has no such option`, `--${name}`, wayOut);
  }
  const values: Record<string, string | number> = {};
  for (const option of method.options) {
    const value = given[option.name];
    if ("words" in option) {
      values[option.name] = value ?? option.words[0];
      if (!option.words.some((word) => word === values[option.name])) {
        const what = `\`${value}\` is not one of its values`;
        throw new UserError(what, `--${option.name}`, suggestion(String(value), option.words));
      }
    } else {
      values[option.name] = value === undefined ? option.default : Number(value);
      if (value === "" || !Number.isFinite(values[option.name])) {
        const what = `\`${value}\` is not a number`;
        throw new UserError(what, `--${option.name}`, `give a number, such as ${option.default}`);
      }
    }
  }
  return values;
}
