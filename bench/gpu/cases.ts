/** The programs of the engines' tests, as bench/gpu/operations.mjs takes them along (pack.sh makes one file of it). */
export { cases } from "../../test/engine/cases.ts";
export { Bench, gap } from "../../test/engine/compare.ts";
