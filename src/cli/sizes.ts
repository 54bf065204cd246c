/** The target of a growth, as options say it: a config, or some of its sizes. */
import type { Command, OptionValues } from "@commander-js/extra-typings";
import type { TargetSizes } from "../growth/plan.ts";
import type { Model } from "../model/architecture.ts";
import type { Outputs } from "../model/table.ts";
import { UserError } from "../util/errors.ts";
import { wholeNumber } from "./options.ts";

export interface SizeFlags extends TargetSizes {
  readonly to?: string;
}

export const sizeOptions = <A extends unknown[], O extends OptionValues>(command: Command<A, O>) =>
  command
    .option("--to <config.json>", "the target's config, of the source's kind")
    .option(
      "--hidden <n>",
      "hidden size, a whole number of the source's heads (the FFN follows unless it is given)",
      wholeNumber("--hidden", 1),
    )
    .option("--heads <n>", "attention heads (default: as many as fit the hidden size)", wholeNumber("--heads", 1))
    .option(
      "--kv-heads <n>",
      "heads of keys and values, where several heads share one (default: groups stay as large as they are, if they can)",
      wholeNumber("--kv-heads", 1),
    )
    .option("--ffn <n>", "FFN width", wholeNumber("--ffn", 1))
    .option("--layers <n>", "layers", wholeNumber("--layers", 1));

function sizesOf({ hidden, heads, kvHeads, ffn, layers, vocab, positions, positionsBy }: SizeFlags) {
  return { hidden, heads, kvHeads, ffn, layers, vocab, positions, positionsBy };
}

/** @throws UserError if the target is given twice */
export function checkSizes(flags: SizeFlags): void {
  if (flags.to === undefined || Object.values(sizesOf(flags)).every((size) => size === undefined)) return;
  throw new UserError("the target is given twice", "--to", "give a config, or sizes, not both");
}

/** @param outputs which it has; default: the source's @throws UserError for one that the source can't grow to */
export async function targetOf(source: Model, flags: SizeFlags, outputs: Outputs = source.outputs): Promise<Model> {
  checkSizes(flags);
  const [{ resizedModel, targetModel }, { readJsonObject }] = await Promise.all([
    import("../growth/plan.ts"),
    import("../util/json.ts"),
  ]);
  if (flags.to === undefined) return resizedModel(source, sizesOf(flags), outputs);
  return targetModel(source, await readJsonObject(flags.to), flags.to, outputs);
}
