/** Readers of option values, for commander. */
import { UserError } from "../util/errors.ts";

/** A whole number from `least` to 2^53 − 1. @param name the option, for messages */
export function wholeNumber(name: string, least = 0): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new UserError(`\`${text}\` is no whole number of at least ${least}`, name, "give one");
  };
}
