/**
 * `prepare`: text files to token blocks on disk, on all cores, with bounded memory.
 *
 * Blocks of lines go to workers and come back in order, so what is written does not depend on how many there are. What
 * is encoded by itself is a line, and GPT-2's tokenizer keeps the line breaks between them; of other tokenizers without
 * a classification token it is a document, as transformers encodes it (or what of it lies in a block). Once all documents are counted, exactly round(share × documents) of them, at least one, are held out,
 * chosen by a permutation that no option changes: the same corpus always gives the same parts.
 */
import { mkdir, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { copyTokenizerFiles, presentOf, tokenizerFiles } from "../../checkpoint/folder.ts";
import { hashFiles } from "../../store/checksums.ts";
import { checkFolderFreeOrMade, holdsAlready, writeFolderWhole } from "../../store/files.ts";
import { fillFile } from "../../store/output.ts";
import { UserError } from "../../util/errors.ts";
import { isJsonObject, printable } from "../../util/json.ts";
import { packageVersion } from "../../util/paths.ts";
import { Thread, workerUrl } from "../../util/worker.ts";
import type { Block } from "../text/blocks.ts";
import { type Fingerprint, readAll } from "../text/blocks.ts";
import { findSources, namedField, type Reading, type Source } from "../text/sources.ts";
import { addedTokens, withClass } from "../tokenizer/folder.ts";
import { openTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { type DatasetInfo, infoJson, openDataset, type PartInfo, type SourceInfo } from "./dataset.ts";
import type { EncodedBlock, WorkerSetting } from "./prepare-worker.ts";
import { createPart, type PartWriter, split } from "./writer.ts";

export interface PrepareOptions extends Reading {
  /** Text files and folders. */
  readonly paths: readonly string[];
  /** The tokenizer's folder. */
  readonly tokenizer: string;
  /** The folder to write; it must not exist, or be empty. */
  readonly out: string;
  /** Tokens of a sequence, special tokens included. */
  readonly length: number;
  /** Share of the documents held out, 0 ≤ share < 1; default 0.01. 0: none. */
  readonly validation?: number;
  /** Workers; default one a core. */
  readonly threads?: number;
  /** What the model that is to learn from it takes: it is said here if it can't. */
  readonly model?: { readonly vocabulary: number; readonly positions: number; readonly where: string };
  /** Whether each document begins with the bos token; default: if transformers puts it before a text. */
  readonly bos?: boolean;
  /** Called after every block. */
  readonly progress?: (done: {
    readonly bytes: number;
    readonly tokens: number;
    /** Share of the files, as they lie on disk, that is read. */
    readonly share: number;
  }) => void;
}

export type PrepareResult = Awaited<ReturnType<typeof prepare>>;

/** @throws UserError; then nothing is written */
export async function prepare(options: PrepareOptions) {
  const { length, out, validation = 0.01, threads = availableParallelism() } = options;
  checkOptions(length, validation, threads);
  await checkFolderFreeOrMade(out);
  const started = performance.now();
  const sources = await findSources(options.paths, options);
  const tokenizer = await openTokenizer(options.tokenizer);
  const note = (text: string) => options.note?.(`${options.tokenizer}: ${text}`);
  for (const text of tokenizer.description.notes) note(text);
  const framing = await framingOf(tokenizer, options, note);
  const { separator, bos, encloses } = framing;
  const { cls, sep, mask } = tokenizer.info.special;
  const { model } = options;
  const checkIds = (ids: readonly (number | undefined)[], what: string) => {
    const beyond = ids.find((id) => model !== undefined && id !== undefined && id >= model.vocabulary);
    if (model === undefined || beyond === undefined) return;
    const token = printable(JSON.stringify(tokenizer.tokenOf(beyond) ?? ""));
    const wayOut = "take the tokenizer that the model was trained with, or a model whose embeddings have a row for it";
    const where = `${model.where}: its vocabulary has ${model.vocabulary} entries`;
    throw new UserError(`${what} ${token} has id ${beyond}`, where, wayOut);
  };
  if (model !== undefined && length > model.positions) {
    const what = `sequences of ${length} tokens, and the model takes ${model.positions}`;
    throw new UserError(what, "--length", `name ${model.positions} or less`);
  }
  checkIds(encloses ? [cls, sep, mask] : [separator, bos], "the special token");
  const width = tokenizer.info.vocabulary <= 2 ** 16 ? 2 : 4;
  const fingerprints: Fingerprint[] = [];
  const found = (): SourceInfo[] => fingerprints.map((print, i) => ({ path: sources[i].path, ...print }));
  let bytes = 0;
  const share = await shareOf(sources);
  const origin = async () => {
    const files = await presentOf(options.tokenizer, tokenizerFiles);
    const hashes = await hashFiles(files.map((name) => join(options.tokenizer, name)));
    const given = { version: packageVersion(), length, validation, bos: options.bos, field: namedField(options) };
    const made = { ...given, tokenizer: hashes, sources: found() };
    return `prepare ${JSON.stringify(made)}`;
  };
  const readAgain = async () => {
    for await (const block of readAll(sources, fingerprints)) bytes += block.bytes.length;
    return origin();
  };
  const already = await holdsAlready(out, readAgain);
  const fill = async (folder: string): Promise<DatasetInfo> => {
    const collector = collectorOf(await createPart(folder, "all", width), framing);
    const { description } = tokenizer;
    const workerData: WorkerSetting = { description, folder: options.tokenizer, width, whole: framing.whole };
    const script = workerUrl(import.meta.url, "./prepare-worker.ts");
    const pool = Array.from({ length: threads }, () => new Thread<Block, EncodedBlock>(script, { workerData }));
    try {
      const underWay: Promise<EncodedBlock>[] = [];
      const takeOne = async () => {
        const encoded = await underWay.shift();
        if (encoded !== undefined) {
          checkIds([encoded.largest], "the texts hold a token that the model lacks:");
          await collector.add(encoded);
        }
        options.progress?.({ bytes, tokens: collector.written.tokens, share: share(fingerprints) });
      };
      for await (const block of readAll(sources, fingerprints)) {
        bytes += block.bytes.length;
        const next = pool.reduce((least, one) => (one.waiting < least.waiting ? one : least));
        underWay.push(next.ask(block, [block.bytes.buffer]));
        if (underWay.length > 2 * threads) await takeOne();
      }
      while (underWay.length > 0) await takeOne();
    } finally {
      await Promise.all(pool.map((thread) => thread.end()));
      await collector.close();
    }
    const { documents } = collector.written;
    if (documents === 0) {
      throw new UserError("the corpus is empty", options.paths.join(", "), "name files that hold text");
    }
    const held = heldOut(documents, validation, options.paths);
    const [train, part] = await split(folder, width, collector.written, held);
    const body = encloses ? length - 2 : length;
    checkParts(train, part, body, held > 0, options.paths);
    const info: DatasetInfo = {
      length,
      width,
      tokenizer: tokenizer.info,
      separator,
      ...(bos === undefined ? {} : { bos }),
      lineBreak: framing.lineBreak,
      largest: collector.largest(),
      train,
      validation: part,
      sources: found(),
    };
    await mkdir(join(folder, "tokenizer"));
    await copyTokenizerFiles(options.tokenizer, join(folder, "tokenizer"), (config) =>
      withClass(config, tokenizer.description),
    );
    await fillFile(join(folder, "data.json"), `${JSON.stringify(infoJson(info), null, 2)}\n`);
    return info;
  };
  const info = already ? await infoOf(out) : await writeFolderWhole(out, fill, { origin });
  return {
    info,
    /** Bytes of text read, unpacked. */
    bytes,
    seconds: (performance.now() - started) / 1000,
    /** Whether the same data stood there already, and nothing was written. */
    already,
  };
}

async function infoOf(folder: string): Promise<DatasetInfo> {
  const dataset = await openDataset(folder);
  dataset.close();
  return dataset.info;
}

/** Tells what share of the files is read. */
async function shareOf(sources: readonly Source[]) {
  const sizes = await Promise.all(sources.map(({ path }) => stat(path).catch(() => ({ size: 0 }))));
  const all = sizes.reduce((sum, { size }) => sum + size, 0);
  return (read: readonly Fingerprint[]) => {
    const done = read.reduce((sum, { bytes }) => sum + bytes, 0);
    return Math.min(1, done / Math.max(1, all));
  };
}

/** What stands around documents and between their lines. */
interface Framing {
  /** The id after each document. */
  readonly separator: number;
  /** The id before each, if there is one. */
  readonly bos: number | undefined;
  readonly lineBreak: readonly number[];
  /** Whether a sequence stands between a classification token and a separator. */
  readonly encloses: boolean;
  /** Whether a document is encoded as one text. */
  readonly whole: boolean;
}

async function framingOf(
  tokenizer: Tokenizer,
  { tokenizer: where, bos: wanted }: PrepareOptions,
  note: (text: string) => void,
): Promise<Framing> {
  const { description, info } = tokenizer;
  const { cls, sep, bos } = info.special;
  const separator = separatorOf(tokenizer, where, note);
  const encloses = cls !== undefined && sep !== undefined;
  if (wanted === true && (bos === undefined || encloses)) {
    const what = encloses ? "its sequences begin with a classification token" : "its tokenizer has no bos token";
    throw new UserError(what, "--bos", "leave it out");
  }
  const begins = (wanted ?? description.beginsWithBos) && !encloses;
  const { pre_tokenizer: before, normalizer, model } = description.json;
  const ofWords = isJsonObject(model) && model.type !== "BPE" && model.type !== "Unigram";
  const ofGpt2 = isJsonObject(before) && before.type === "ByteLevel" && normalizer === null;
  const whole = !(encloses || ofWords || ofGpt2);
  if (!encloses) {
    const text = (id = separator) => printable(tokenizer.tokenOf(id) ?? "");
    const found = begins ? `begins with ${text(bos)} and ends` : "ends";
    const other =
      bos === undefined || begins === wanted ? "" : begins ? " (--no-bos leaves the first out)" : " (--bos adds bos)";
    note(`each document ${found} with ${text()}${other}`);
  }
  // Of two texts that differ in it, so that what is put before a text does not count.
  const ids = async (line: string) => Array.from((await tokenizer.encode([line])).ids);
  const lineBreak = whole ? (await ids("a\n")).slice((await ids("a")).length) : await ids("\n");
  return { separator, bos: begins ? bos : undefined, lineBreak: encloses ? [] : lineBreak, encloses, whole };
}

/** Writes documents in order: all.tokens, all.documents, all.lines. */
function collectorOf(part: PartWriter, framing: Framing) {
  /** Line breaks since the last token of the open document. */
  let breaks = 0;
  /** Whether the open document has a token yet. */
  let open = false;
  const before = framing.bos === undefined ? [] : [framing.bos];
  const separator = part.bytesOf([framing.separator]);
  const bos = part.bytesOf(before);
  const lineBreak = part.bytesOf(framing.lineBreak);
  /** The largest id so far. */
  let largest = Math.max(framing.separator, ...before, ...framing.lineBreak);

  async function add(block: EncodedBlock): Promise<void> {
    const { ids, ends } = block;
    largest = Math.max(largest, block.largest);
    const width = ids.BYTES_PER_ELEMENT;
    const bytes = new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
    let start = 0;
    for (let line = 0; line < ends.length; line++) {
      if (block.breaks[line] === 1) await closeDocument();
      const end = ends[line];
      if (end > start) {
        const begins = !open;
        open = true;
        if (begins) await part.startDocument();
        else for (let i = 0; i < breaks; i++) await part.write(lineBreak);
        breaks = 0;
        await part.startLine();
        if (begins) await part.write(bos);
        await part.write(bytes.subarray(start * width, end * width));
        start = end;
      }
      breaks++;
    }
    if (block.breakAfter) await closeDocument();
  }

  async function close(): Promise<void> {
    await closeDocument();
    await part.close();
  }

  async function closeDocument(): Promise<void> {
    if (open) await part.write(separator);
    open = false;
    breaks = 0;
  }

  return { written: part.info, largest: () => largest, add, close };
}

/** What is written after each document. */
function separatorOf(tokenizer: Tokenizer, where: string, note: (text: string) => void): number {
  const { cls, sep, eos } = tokenizer.info.special;
  const separator = cls !== undefined && sep !== undefined ? sep : (eos ?? sep);
  if (separator !== undefined) return separator;
  // A tokenizer.json alone names no roles; what ends a text can be told from its name.
  const known = addedTokens(tokenizer.description.json).find(
    ({ content, special }) => special && ["<|endoftext|>", "</s>", "[SEP]", "<|end_of_text|>"].includes(content),
  );
  if (known === undefined) {
    const wayOut = "name one in special_tokens_map.json: sep_token ([SEP]) or eos_token (<|endoftext|>)";
    throw new UserError("the tokenizer has no separator and no end-of-text token", where, wayOut);
  }
  const rest = "to train with masks, name cls_token, sep_token and mask_token in special_tokens_map.json";
  note(`no file says which token ends a text, so ${known.content} is taken; ${rest}`);
  return known.id;
}

function checkOptions(length: number, validation: number, threads: number): void {
  if (!Number.isInteger(length) || length < 8 || length > 2 ** 20) {
    throw new UserError(`a sequence of ${length} tokens`, "--length", "name a whole number from 8, such as 128");
  }
  if (!(validation >= 0 && validation < 1)) {
    throw new UserError(`a share of ${validation}`, "--validation", "name a share from 0 to below 1, such as 0.01");
  }
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new UserError(`${threads} threads`, "--threads", "name a whole number from 1");
  }
}

/** How many documents are held out. */
function heldOut(documents: number, share: number, paths: readonly string[]): number {
  if (share === 0) return 0;
  const held = Math.max(1, Math.round(share * documents));
  if (held < documents) return held;
  const found = documents === 1 ? "it is a single document" : `${held} of its ${documents} documents would be held out`;
  const wayOut = "put blank lines between documents, or choose another --validation (0 for none)";
  throw new UserError(`${found}, and validation takes whole ones`, paths.join(", "), wayOut);
}

function checkParts(train: PartInfo, validation: PartInfo, body: number, held: boolean, paths: readonly string[]) {
  const where = paths.join(", ");
  if (train.tokens < body) {
    const what = `its ${train.tokens} tokens do not fill a sequence of ${body}`;
    throw new UserError(what, where, "name more text or a shorter --length");
  }
  if (held && validation.tokens < body) {
    const what = `the ${validation.tokens} tokens held out for validation do not fill a sequence of ${body}`;
    const share = Math.min(0.5, (2 * body) / (train.tokens + validation.tokens));
    throw new UserError(what, where, `try --validation ${share.toPrecision(1)} (0 for none), or a shorter --length`);
  }
}
