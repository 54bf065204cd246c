/** `bert2bert verify`: holds a grown model to what its method promised. */
import type { Command } from "commander";
import type { FloatDType } from "../checkpoint/dtype.ts";
import type { OpenModel } from "../model/load.ts";
import type { ProbeInputs } from "../probe/inputs.ts";
import type { Verification } from "../probe/verify.ts";
import { modelFolder, wholeNumber } from "./options.ts";
import { note, print, printJson, styled, table } from "./output.ts";

interface Options {
  readonly text?: string;
  readonly field?: string;
  readonly engine: string;
  readonly seed: number;
  readonly json?: boolean;
}

export function register(command: Command): void {
  command
    .argument("<source>", "the model folder that was grown", modelFolder)
    .argument("<grown>", "what it grew into, with its growth.json", modelFolder)
    .option("--text <file>", "compare on this text, by the model's tokenizer (default: random token ids)")
    .option("--field <name>", "the field of JSON Lines that holds the text (default: text)")
    .option("--engine <kind>", "what computes", "onnx")
    .option("--seed <n>", "of the random token ids", wholeNumber("--seed"), 0)
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nDifferences are shares of the source's largest value. Exit code 1: the method's promise is broken.",
    )
    .action(verify);
}

async function verify(sourceFolder: string, grownFolder: string, options: Options): Promise<void> {
  const [{ openModel }, { readRecord }, { checkSource }, { randomInputs, verifyGrowth }, { openEngine }, os, { join }] =
    await Promise.all([
      import("../model/load.ts"),
      import("../growth/record.ts"),
      import("../growth/repeat.ts"),
      import("../probe/verify.ts"),
      import("../engine/engines.ts"),
      import("node:os"),
      import("node:path"),
    ]);
  const record = await readRecord(grownFolder);
  const source = await openModel(sourceFolder);
  try {
    await checkSource(source, record, join(grownFolder, "growth.json"));
    const grown = await openModel(grownFolder);
    try {
      const inputs =
        options.text === undefined
          ? randomInputs(source.model, options.seed)
          : await inputsOfText(source, options.text, options.field);
      const threads = os.availableParallelism();
      const open = () => openEngine({ kind: options.engine, threads, precision: "f32" });
      const result = await verifyGrowth(source, grown, record, inputs, open);
      if (options.json)
        printJson({
          ...result,
          differences: result.differences.map((difference) => ({ ...difference })),
          allowed: result.allowed ?? null,
          promise: { ...result.promise },
        });
      else show(result, record.dtype);
      if (!result.kept) process.exitCode = 1;
    } finally {
      await grown.close();
    }
  } finally {
    await source.close();
  }
}

async function inputsOfText(source: OpenModel, path: string, field?: string): Promise<ProbeInputs> {
  const [{ openTokenizer }, { textInputs }] = await Promise.all([
    import("../data/tokenizer/tokenizer.ts"),
    import("../probe/text.ts"),
  ]);
  return textInputs(source.model, await openTokenizer(source.folder), path, { field, note });
}

function show({ promise, allowed, differences, kept }: Verification, dtype: FloatDType): void {
  const rounded = differences.some(({ alike }) => alike !== undefined);
  const rows = differences.map(({ name, largest, scale, share, alike, judged }) => [
    name,
    largest.toExponential(1),
    scale.toPrecision(3),
    share.toExponential(1),
    ...(rounded ? [alike?.toExponential(1) ?? ""] : []),
    judged && allowed !== undefined ? "promised" : "",
  ]);
  const columns = rounded ? [`share, source in ${dtype} too`] : [];
  print(table([["output", "largest difference", "largest value", "share", ...columns, ""], ...rows]));
  if (allowed === undefined) {
    note(`nothing is promised: ${promise.reason}`);
    return;
  }
  const of = rounded ? ` against the source in ${dtype} too` : "";
  const bar = `at most ${allowed.toExponential(0)} of the scale is promised${of} (${promise.kind}: ${promise.reason})`;
  print(`${kept ? styled("green", "kept") : styled("red", "broken")}: ${bar}`);
  if (!rounded) return;
  const most = Math.max(...differences.filter(({ judged }) => judged).map(({ share }) => share));
  print(`against the source as it is: ${most.toExponential(1)}, which is what ${dtype} costs`);
}
