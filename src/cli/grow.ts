/** `bert2bert grow`: grows a checkpoint into a larger one. */
import { availableParallelism } from "node:os";
import type { Command } from "@commander-js/extra-typings";
import type { FloatDType } from "../checkpoint/dtype.ts";
import type { ApplyOptions } from "../growth/apply.ts";
import { depthRules } from "../growth/depth.ts";
import { POSITION_RULES } from "../growth/extend.ts";
import type { OptionDefinition } from "../growth/growth.ts";
import { MAP_KINDS } from "../growth/maps.ts";
import { methods } from "../growth/methods.ts";
import { MOMENT_MODES } from "../growth/moments.ts";
import type { GrowthPlan } from "../growth/plan.ts";
import type { OpenModel } from "../model/load.ts";
import { keeping } from "../util/closing.ts";
import { named, UserError } from "../util/errors.ts";
import { floatDType, modelFolder, wholeNumber } from "./options.ts";
import { formatBytes, formatCount, note, Progress, print, printJson, table } from "./output.ts";
import { checkSizes, sizeOptions, targetOf } from "./sizes.ts";

const NEW_TOKENS = ["pieces", "fresh"] as const;

type Flags = ReturnType<ReturnType<typeof declared>["opts"]>;

const declared = (command: Command) =>
  sizeOptions(
    command
      .argument("<source>", "a model folder: config.json and weights in safetensors", modelFolder)
      .argument("[out]", "the folder to write (not needed with --dry-run)"),
  )
    .option(
      "--vocab <n>",
      "ids of the vocabulary (default: the source's, or as many as --tokenizer has)",
      wholeNumber("--vocab", 1),
    )
    .option("--tokenizer <folder>", "the source's tokenizer with more tokens, which the grown model gets")
    .option(
      "--new-tokens <rows>",
      `rows of new tokens: ${NEW_TOKENS.join(", ")} (the mean of what the old tokenizer cuts them into, or drawn)`,
      "pieces",
    )
    .option("--positions <n>", "the most tokens of a text", wholeNumber("--positions", 1))
    .option(
      "--positions-by <rule>",
      `how they get more: ${POSITION_RULES.join(", ")} (default: extend, which keeps those there are)`,
    )
    .option("--method <name>", `how the width grows: ${methods.map((method) => method.name).join(", ")}`)
    .option("--map <kind>", `how new units find the ones they are made from: ${MAP_KINDS.join(", ")}`)
    .option("--depth <rule>", `how the depth grows: ${depthRules.map((rule) => rule.name).join(", ")}`)
    .option("--moments <mode>", `Adam's moments beside the source: ${MOMENT_MODES.join(", ")}`)
    .option("--add-head", "draw a language-model head for a source that has none")
    .option("--dtype <format>", "F32, F16 or BF16 (default: the source's)")
    .option("--keep-nonfinite", "take NaN and infinity over where the source has them (default: they are refused)")
    .option("--max-shard <size>", "largest weights file, such as 5GB")
    .option("--seed <n>", "for whatever is drawn", wholeNumber("--seed"), 0)
    .option("--data <folder>", "prepared data, for a method that is learned (ligo)")
    .option("--engine <kind>", "which engine learns", "auto")
    .option("--threads <n>", "its threads; default all", wholeNumber("--threads", 1))
    .option("--repeat <growth.json>", "grow as this record says, in place of all options above")
    .option("--dry-run", "print what each parameter becomes; write nothing")
    .option("--json", "print the result as JSON")
    .addHelpText("after", methodsHelp);

export function register(command: Command): void {
  declared(command).action(grow);
  for (const option of distinctOptions()) {
    const takers = methods.filter(({ options }) => options.some(({ name }) => name === option.name));
    const words = "words" in option ? option.words.join(" | ") : `default ${option.default}`;
    command
      .optionsGroup(`Only with --method ${takers.map(({ name }) => name).join(", ")}:`)
      .option(`--${option.name} <value>`, `${option.description} (${words})`);
  }
}

function distinctOptions(): readonly OptionDefinition[] {
  const byName = new Map<string, OptionDefinition>();
  for (const method of methods) for (const option of method.options) byName.set(option.name, option);
  return [...byName.values()];
}

function methodsHelp(): string {
  const lines = [...methods, ...depthRules].map((item) => [`  ${item.name}`, item.description]);
  return `\nMethods and depth rules:\n${table(lines)}`;
}

async function grow(folder: string, out: string | undefined, flags: Flags): Promise<void> {
  const [
    { applyGrowth, promiseWords, storedDType },
    { openModel },
    { parseSize },
    { checkFolderFreeOrMade },
    { remarks },
  ] = await Promise.all([
    import("../growth/apply.ts"),
    import("../model/load.ts"),
    import("../checkpoint/write.ts"),
    import("../store/files.ts"),
    import("../model/remarks.ts"),
  ]);
  if (out === undefined && flags.dryRun !== true) {
    throw new UserError("no folder to write is named", "bert2bert grow", "add OUT after the source, or --dry-run");
  }
  if (out !== undefined) await checkFolderFreeOrMade(out);
  const maxShardBytes = flags.maxShard === undefined ? undefined : parseSize(flags.maxShard, "--max-shard");
  await using keep = keeping();
  const source = keep(await openModel(folder));
  const { plan: planned, dtype, keepNotFinite, tokenizer } = await planFrom(source, flags);
  for (const remark of await remarks(source, planned.growth.target.outputs)) note(`${folder}: ${remark}`);
  await noteBeyond(source);
  const format = dtype ?? storedDType(source);
  if (flags.dryRun === true) {
    await describe(planned, format, flags.json === true, promiseWords(planned, format, source));
    return;
  }
  if (out === undefined) return;
  const progress = new Progress(true);
  const plan = await learned(planned, source, flags, progress);
  const applied = await applyGrowth(plan, source, out, {
    dtype: format,
    maxShardBytes,
    keepNotFinite,
    tokenizer,
    progress: (done, total) => progress.update(() => `growing: ${Math.floor((100 * done) / total)} %`),
  });
  progress.end();
  if (flags.json === true) {
    printJson({ out, ...applied });
    return;
  }
  if (applied.already) note(`${out} holds this growth already; nothing was written`);
  note(promiseWords({ ...plan, promise: applied.promise }, format, source));
  for (const words of plan.notes) note(words);
  if (applied.vanished > 0) note(`${applied.vanished} weights are too small for ${applied.dtype} and are 0 in it`);
  const moments = applied.moments ? ", Adam's moments with them" : "";
  print(
    `${out}: ${formatCount(applied.parameters)} parameters in ${applied.dtype}, ${formatBytes(applied.bytes)}${moments}`,
  );
}

/** Says now, and not when it is trained, what the folder's tokenizer has that the model lacks. */
async function noteBeyond({ folder, model }: OpenModel): Promise<void> {
  const [{ beyondVocabulary }, { supports }] = await Promise.all([
    import("../data/tokenizer/beyond.ts"),
    import("../model/objectives.ts"),
  ]);
  const beyond = await beyondVocabulary(folder, model.dimensions.vocab, !supports(model, "clm"));
  if (beyond !== undefined) note(`${folder}: ${beyond}`);
}

/** The plan, its weights learned where its method asks for that. */
async function learned(plan: GrowthPlan, source: OpenModel, flags: Flags, progress: Progress): Promise<GrowthPlan> {
  const { name, learned: learns } = plan.method;
  if (flags.data === undefined) return plan;
  if (learns !== true) throw new UserError(`\`${name}\` learns nothing`, "--data", "leave it out");
  const { learnGrowth } = await import("../train/ligo.ts");
  const threads = flags.threads ?? availableParallelism();
  return learnGrowth(plan, source, flags.data, {
    engine: flags.engine,
    threads,
    progress: (step, steps, loss) =>
      progress.update(() => `learning: step ${step} of ${steps}, loss ${loss.toFixed(4)}`),
  });
}

async function planFrom(source: OpenModel, flags: Flags): Promise<{ plan: GrowthPlan } & ApplyOptions> {
  const [{ planGrowth }, { outputsWithLanguageModel }] = await Promise.all([
    import("../growth/plan.ts"),
    import("../model/head.ts"),
  ]);
  if (flags.repeat !== undefined) {
    const { repeatedPlan } = await import("../growth/repeat.ts");
    const repeated = await repeatedPlan(source, flags.repeat);
    const { tokenizer: hash } = repeated.plan.extension ?? {};
    if (hash === undefined) return repeated;
    const { openTokenizer } = await import("../data/tokenizer/tokenizer.ts");
    const given = flags.tokenizer === undefined ? undefined : await openTokenizer(flags.tokenizer);
    if (given?.info.hash === hash) return { ...repeated, tokenizer: flags.tokenizer };
    const what =
      given === undefined ? "it was grown for a tokenizer of more tokens" : "it was grown for another tokenizer";
    throw new UserError(what, flags.repeat, "name the folder of that one with --tokenizer");
  }
  const extending = await extensionOf(source, flags);
  const { map, depth, moments, seed, to, hidden, heads, kvHeads, ffn, layers } = flags;
  // More ids or positions alone: every method leaves the rest as it is.
  const stays = [to, hidden, heads, kvHeads, ffn, layers].every((given) => given === undefined);
  const method = flags.method ?? (extending !== undefined && stays ? methods[0].name : undefined);
  const sizes = { ...flags, positionsBy: undefined, ...extending?.sizes };
  checkSizes(sizes);
  if (method === undefined) {
    const known = methods.map((method) => method.name).join(", ");
    throw new UserError(
      "no method is named",
      "--method",
      `give one of ${known}; direct has saved most so far (BERT and GPT-2 were measured), fpi promises most (\`bert2bert grow --help\` explains them)`,
    );
  }
  const { model, folder } = source;
  const outputs = flags.addHead === true ? outputsWithLanguageModel(model, folder) : model.outputs;
  const target = await targetOf(model, sizes, outputs);
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(flags)) {
    if (typeof value === "string" && distinctOptions().some((option) => option.name === name)) given[name] = value;
  }
  const { extension } = extending ?? {};
  const plan = planGrowth(source.model, target, { method, options: given, map, depth, moments, seed, extension });
  return { plan, dtype: await floatDType(flags.dtype), keepNotFinite: flags.keepNonfinite, tokenizer: flags.tokenizer };
}

/** What is asked for beyond width and depth; undefined for nothing. */
async function extensionOf(source: OpenModel, flags: Flags) {
  const { tokenizer, positions } = flags;
  if (flags.vocab === undefined && tokenizer === undefined && positions === undefined) {
    if (flags.positionsBy === undefined) return undefined;
    throw new UserError("it says how there come to be more positions", "--positions-by", "add --positions N");
  }
  const by = named(
    flags.positionsBy ?? "extend",
    POSITION_RULES,
    `positions can't be made by \`${flags.positionsBy}\``,
    "--positions-by",
  );
  const rows = named(flags.newTokens, NEW_TOKENS, `new tokens can't get \`${flags.newTokens}\``, "--new-tokens");
  const { vocab: there } = source.model.dimensions;
  if (tokenizer === undefined) {
    const sizes = { vocab: flags.vocab, positions, positionsBy: by };
    return { sizes, extension: { pieces: new Map<number, readonly number[]>(), positions: by } };
  }
  const { newTokens } = await import("../data/tokenizer/pieces.ts");
  const { vocabulary, hash, pieces } = await newTokens(source.folder, tokenizer, there);
  const vocab = flags.vocab ?? Math.max(there, vocabulary);
  if (vocab < vocabulary) {
    const what = `${vocab} ids are too few for a tokenizer of ${vocabulary}`;
    throw new UserError(what, "--vocab", "give at least as many, or leave it out");
  }
  const made = rows === "pieces" ? pieces : new Map<number, readonly number[]>();
  return { sizes: { vocab, positions, positionsBy: by }, extension: { pieces: made, positions: by, tokenizer: hash } };
}

async function describe(plan: GrowthPlan, dtype: FloatDType, json: boolean, promise: string): Promise<void> {
  const [{ describeGroups, describeJson }, { parameterCount }, { widthOf }] = await Promise.all([
    import("../growth/describe.ts"),
    import("../model/table.ts"),
    import("../checkpoint/dtype.ts"),
  ]);
  if (json) {
    printJson(describeJson(plan, dtype));
    return;
  }
  const groups = describeGroups(plan);
  print(
    table([
      ["parameter", "from", "to", "parameters", "becomes"],
      ...groups.map((group) => [
        group.name,
        group.from.length === 0 ? "new" : `[${group.from.join(", ")}]`,
        `[${group.to.join(", ")}]`,
        formatCount(group.parameters),
        group.words,
      ]),
    ]),
  );
  const { source, target } = plan.growth;
  const total = parameterCount(target.parameters);
  if (target.dimensions.layers > source.dimensions.layers) {
    print(
      `\nlayers: ${plan.layers.map(({ from, fresh }) => (fresh ? `${from < 0 ? "" : from}*` : from)).join(" ")} (* new)`,
    );
  }
  print(
    `\n${formatCount(parameterCount(source.parameters))} → ${formatCount(total)} parameters, ${formatBytes(total * widthOf(dtype))} in ${dtype}`,
  );
  print(promise);
}
