/** `bert2bert verify`: holds a grown model to what its method promised. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Command } from "@commander-js/extra-typings";
import type { FloatDType } from "../checkpoint/dtype.ts";
import type { OpenModel } from "../model/load.ts";
import type { Dimensions } from "../model/table.ts";
import type { ProbeInputs } from "../probe/inputs.ts";
import type { Verification } from "../probe/verify.ts";
import { keeping } from "../util/closing.ts";
import { checkMemory } from "../util/memory.ts";
import { modelFolder, wholeNumber } from "./options.ts";
import { note, Progress, print, printJson, styled, table } from "./output.ts";

export function register(command: Command): void {
  declared(command).action(verify);
}

type Options = ReturnType<ReturnType<typeof declared>["opts"]>;

const declared = (command: Command) =>
  command
    .argument("<source>", "the model folder that was grown", modelFolder)
    .argument("<grown>", "what it grew into, with its growth.json", modelFolder)
    .option("--text <file>", "compare on this text, by the model's tokenizer (default: random token ids)")
    .option("--field <name>", "the field of JSON Lines that holds the text (default: text)")
    .option("--engine <kind>", "what computes", "onnx")
    .option(
      "--sample",
      "compare block by block, some heads and FFN units of each: a few hundred MB for a model of any size",
    )
    .option("--seed <n>", "of the random token ids and of the sample", wholeNumber("--seed"), 0)
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nDifferences are shares of the source's largest value. Exit code 1: the method's promise is broken.",
    );

async function verify(sourceFolder: string, grownFolder: string, options: Options): Promise<void> {
  const [
    { openModel },
    { readRecord },
    { checkSource },
    { probeBytes },
    { randomInputs, verifyGrowth },
    { openEngine },
  ] = await Promise.all([
    import("../model/load.ts"),
    import("../growth/record.ts"),
    import("../growth/repeat.ts"),
    import("../probe/probe.ts"),
    import("../probe/verify.ts"),
    import("../engine/engines.ts"),
  ]);
  const record = await readRecord(grownFolder);
  await using keep = keeping();
  const source = keep(await openModel(sourceFolder));
  const grown = keep(await openModel(grownFolder));
  const inputs =
    options.text === undefined
      ? randomInputs(source.model, options.seed)
      : await inputsOfText(source, options.text, options.field);
  if (options.sample !== true) {
    const wayOut = "compare a sample, block by block: --sample";
    checkMemory(probeBytes(grown.model, inputs), "comparing the whole models", grownFolder, wayOut);
  }
  // After what is said at once: it reads all of the source.
  await checkSource(source, record, join(grownFolder, "growth.json"));
  const threads = availableParallelism();
  const open = () => openEngine({ kind: options.engine, threads, precision: "f32" });
  const progress = new Progress(true);
  const tell = (done: number, parts: number) => progress.update(() => `block ${done} of ${parts} compared`);
  const sample = options.sample === true ? { seed: options.seed, progress: tell } : undefined;
  const result = await verifyGrowth(source, grown, record, inputs, open, { sample });
  progress.end();
  if (options.json) printJson({ ...result, allowed: result.allowed ?? null });
  else show(result, source.model.dimensions, record.dtype);
  if (!result.kept) process.exitCode = 1;
}

async function inputsOfText(source: OpenModel, path: string, field?: string): Promise<ProbeInputs> {
  const [{ openTokenizer }, { textInputs }] = await Promise.all([
    import("../data/tokenizer/tokenizer.ts"),
    import("../probe/text.ts"),
  ]);
  return textInputs(source.model, await openTokenizer(source.folder), path, { field, note });
}

function show(
  { promise, allowed, differences, rounding, sampled, kept }: Verification,
  { kvHeads, ffn, vocab }: Dimensions,
  dtype: FloatDType,
): void {
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
  if (sampled !== undefined) {
    const heads = `${sampled.kvHeads} of ${kvHeads} heads of keys and values`;
    print(
      `a sample: each of ${sampled.layers} blocks by itself between embeddings and heads, with ${heads}, ${sampled.ffn} of ${ffn} FFN units, ${sampled.ids} of ${vocab} ids; what was not drawn, and blocks one upon the other, were not compared`,
    );
  }
  if (allowed === undefined) {
    note(`nothing is promised: ${promise.reason}`);
    return;
  }
  const of = rounded ? ` against the source in ${dtype} too` : "";
  const bar = `at most ${allowed.toExponential(rounding === undefined ? 0 : 1)} of the scale is promised${of} (${promise.kind}: ${promise.reason})`;
  print(`${kept ? styled("green", "kept") : styled("red", "broken")}: ${bar}`);
  if (rounding !== undefined) {
    const before = `before, they are ${rounding.before.toExponential(1)} off`;
    print(`rounding the grown weights to ${dtype} costs ${rounding.costs.toExponential(1)}, measured; ${before}`);
  }
  if (!rounded) return;
  const most = Math.max(...differences.filter(({ judged }) => judged).map(({ share }) => share));
  print(`against the source as it is: ${most.toExponential(1)}, which is what ${dtype} costs`);
}
