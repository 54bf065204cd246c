/** `inspect FOLDER`: what a model folder holds. */
import type { Command } from "@commander-js/extra-typings";
import type { GrowthSummary, Inspection } from "../probe/inspect.ts";
import { UserError } from "../util/errors.ts";
import { modelFolder } from "./options.ts";
import { formatBytes, formatCount, note, print, printJson, styled, table } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<folder>", "a model folder as transformers saves it", modelFolder)
    .option("--check", "read all files and hold them against SHA256SUMS first")
    .option("--json", "print the result as JSON")
    .action(async (folder: string, options) => {
      const { inspect } = await import("../probe/inspect.ts");
      if (options.check === true) await check(folder);
      const found = await inspect(folder);
      if (options.json === true) printJson(found);
      else print(describe(found));
    });
}

async function check(folder: string): Promise<void> {
  const { checkFiles, checksumsFile } = await import("../store/checksums.ts");
  if (await checkFiles(folder)) note(`${folder}: every file is as it was written`);
  else throw new UserError(`there is no ${checksumsFile}`, folder, "only folders that bert2bert wrote have one");
}

function describe(found: Inspection): string {
  const { dimensions: d } = found;
  const { lm, pooler, nsp } = found.heads;
  const heads = [lm && "language model", pooler && "pooler", nsp && "next sentence"].filter(Boolean);
  const bytes = found.files.reduce((sum, file) => sum + file.bytes, 0);
  const files = found.files.length === 1 ? found.files[0].name : `${found.files.length} shards`;
  const rows = [
    ["layers", String(d.layers), "hidden", String(d.hidden)],
    [
      "heads",
      `${d.heads} × ${d.headWidth}${d.kvHeads === d.heads ? "" : `, ${d.kvHeads} of keys`}`,
      "FFN",
      String(d.ffn),
    ],
    ["vocabulary", String(d.vocab), "positions", String(d.positions)],
  ];
  const parts = [
    ["", "tensors", "parameters", "bytes"],
    ...found.parts.map((part) => [part.part, String(part.tensors), String(part.parameters), formatBytes(part.bytes)]),
    ["all", String(found.parts.reduce((sum, part) => sum + part.tensors, 0)), String(found.parameters), ""],
  ];
  const lines = [
    `${styled("bold", found.class ?? found.architecture)}  ${formatCount(found.parameters)} parameters, ${Object.keys(found.dtypes).join(" and ")}`,
    "",
    table(rows),
    "",
    table(parts),
    "",
    `output heads   ${heads.length === 0 ? "none" : heads.join(", ")}`,
    `weights        ${files}, ${formatBytes(bytes)}`,
    `tokenizer      ${found.tokenizer.length === 0 ? "none" : found.tokenizer.join(", ")}`,
    `optimizer      ${found.optimizer === null ? "none" : `moments of ${found.optimizer.parameters} tensors, ${formatBytes(found.optimizer.bytes)}`}`,
  ];
  if (found.growth !== null) lines.push(`grown          ${describeGrowth(found.growth)}`);
  if (found.leftOut.length > 0) lines.push(`not used       ${found.leftOut.join(", ")}`);
  for (const [i, text] of found.notes.entries()) lines.push(`${i === 0 ? "note" : "    "}           ${text}`);
  return lines.join("\n");
}

function describeGrowth(growth: GrowthSummary): string {
  const { from } = growth;
  const source = from.layers === undefined ? "" : ` from ${from.layers} layers, ${from.hidden} wide`;
  const how = [growth.depth && `depth ${growth.depth}`, growth.map && `map ${growth.map}`].filter(Boolean).join(", ");
  return `${growth.method ?? "by an unknown method"}${source}${how === "" ? "" : ` (${how})`}`;
}
