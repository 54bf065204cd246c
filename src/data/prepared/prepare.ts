/**
 * `prepare`: text files to token blocks on disk, on all cores, with bounded memory.
 *
 * Blocks of lines go to workers and come back in order, so what is written does not depend on how many there are. A
 * document's lines are encoded one by one; a tokenizer without a classification token (GPT-2's) keeps the line breaks
 * between them. Once all documents are counted, exactly round(share × documents) of them, at least one, are held out,
 * chosen by a permutation that no option changes: the same corpus always gives the same parts.
 */
import { mkdir, rm, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { copyTokenizerFiles, presentOf, tokenizerFiles } from "../../checkpoint/folder.ts";
import { hashFiles } from "../../store/checksums.ts";
import { checkFolderFreeOrMade, holdsAlready, writeFolderWhole } from "../../store/files.ts";
import { fillFile } from "../../store/output.ts";
import { UserError } from "../../util/errors.ts";
import { printable } from "../../util/json.ts";
import { packageVersion } from "../../util/paths.ts";
import { RandomStream } from "../../util/random.ts";
import { type Fingerprint, readBlocks } from "../text/blocks.ts";
import { findSources, namedField, type Source } from "../text/sources.ts";
import { addedTokens, withClass } from "../tokenizer/folder.ts";
import { openTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { type DatasetInfo, infoJson, openDataset, type PartInfo, type SourceInfo } from "./dataset.ts";
import { FlatReader, FlatWriter } from "./flat.ts";
import { Permutation } from "./order.ts";
import { EncoderPool } from "./pool.ts";
import type { EncodedBlock } from "./prepare-worker.ts";

export interface PrepareOptions {
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
  /** The field of JSON Lines that holds the text; default `text`. */
  readonly field?: string;
  /** Told what whoever uses the data should know, of its files and of the tokenizer. */
  readonly note?: (text: string) => void;
  /** Called after every block. */
  readonly progress?: (done: {
    readonly bytes: number;
    readonly tokens: number;
    /** Share of the files, as they lie on disk, that is read. */
    readonly share: number;
  }) => void;
}

export interface PrepareResult {
  readonly info: DatasetInfo;
  /** Bytes of text read, unpacked. */
  readonly bytes: number;
  readonly seconds: number;
  /** Whether the same data stood there already, and nothing was written. */
  readonly already: boolean;
}

/** @throws UserError; then nothing is written */
export async function prepare(options: PrepareOptions): Promise<PrepareResult> {
  const { length, out, validation = 0.01, threads = availableParallelism() } = options;
  checkOptions(length, validation, threads);
  await checkFolderFreeOrMade(out);
  const started = performance.now();
  const sources = await findSources(options.paths, options);
  const tokenizer = await openTokenizer(options.tokenizer);
  const note = (text: string) => options.note?.(`${options.tokenizer}: ${text}`);
  for (const text of tokenizer.description.notes) note(text);
  const separator = separatorOf(tokenizer, options.tokenizer, note);
  const { cls, sep, mask } = tokenizer.info.special;
  const encloses = cls !== undefined && sep !== undefined;
  const lineBreak = encloses ? [] : Array.from((await tokenizer.encode(["\n"])).ids);
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
  checkIds(encloses ? [cls, sep, mask] : [separator], "the special token");
  const width = tokenizer.info.vocabulary <= 2 ** 16 ? 2 : 4;
  const seconds = () => (performance.now() - started) / 1000;
  const found: SourceInfo[] = [];
  let bytes = 0;
  const share = await shareOf(sources);
  const origin = async () => {
    const files = await presentOf(options.tokenizer, tokenizerFiles);
    const hashes = await hashFiles(files.map((name) => join(options.tokenizer, name)));
    const made = {
      version: packageVersion(),
      length,
      validation,
      field: namedField(options),
      tokenizer: hashes,
      sources: found,
    };
    return `prepare ${JSON.stringify(made)}`;
  };
  const readAgain = async () => {
    for (const source of sources) {
      const fingerprint: Fingerprint = { bytes: 0, sha256: "" };
      for await (const block of readBlocks(source, fingerprint)) bytes += block.bytes.length;
      found.push({ path: source.path, ...fingerprint });
    }
    return origin();
  };
  if (await holdsAlready(out, readAgain)) {
    const dataset = await openDataset(out);
    dataset.close();
    return { info: dataset.info, bytes, seconds: seconds(), already: true };
  }
  const fill = async (folder: string): Promise<DatasetInfo> => {
    const collector = await Collector.create(folder, width, separator, lineBreak);
    const pool = new EncoderPool(threads, { description: tokenizer.description, folder: options.tokenizer, width });
    try {
      const underWay: Promise<EncodedBlock>[] = [];
      let fingerprint: Fingerprint = { bytes: 0, sha256: "" };
      const takeOne = async () => {
        const encoded = await underWay.shift();
        if (encoded !== undefined) {
          checkIds([encoded.largest], "the texts hold a token that the model lacks:");
          await collector.add(encoded);
        }
        options.progress?.({ bytes, tokens: collector.tokens, share: share(found, fingerprint) });
      };
      for (const source of sources) {
        fingerprint = { bytes: 0, sha256: "" };
        for await (const block of readBlocks(source, fingerprint)) {
          bytes += block.bytes.length;
          underWay.push(pool.encode(block));
          if (underWay.length > 2 * threads) await takeOne();
        }
        found.push({ path: source.path, ...fingerprint });
        fingerprint = { bytes: 0, sha256: "" };
      }
      while (underWay.length > 0) await takeOne();
    } finally {
      await pool.close();
      await collector.close();
    }
    if (collector.documents === 0) {
      throw new UserError("the corpus is empty", options.paths.join(", "), "name files that hold text");
    }
    const held = heldOut(collector.documents, validation, options.paths);
    const [train, part] = await split(folder, width, collector.documents, held);
    const body = encloses ? length - 2 : length;
    checkParts(train, part, body, held > 0, options.paths);
    const info: DatasetInfo = {
      length,
      width,
      tokenizer: tokenizer.info,
      separator,
      lineBreak,
      largest: collector.largest,
      train,
      validation: part,
      sources: found,
    };
    await mkdir(join(folder, "tokenizer"));
    await copyTokenizerFiles(options.tokenizer, join(folder, "tokenizer"), (config) =>
      withClass(config, tokenizer.description),
    );
    await fillFile(join(folder, "data.json"), `${JSON.stringify(infoJson(info), null, 2)}\n`);
    return info;
  };
  const info = await writeFolderWhole(out, fill, { origin });
  return { info, bytes, seconds: seconds(), already: false };
}

/** Tells what share of the files is read, of which some are read to their end and one in part. */
async function shareOf(sources: readonly Source[]) {
  const sizes = await Promise.all(sources.map(({ path }) => stat(path).catch(() => ({ size: 0 }))));
  const all = sizes.reduce((sum, { size }) => sum + size, 0);
  return (whole: readonly SourceInfo[], part: Fingerprint) => {
    const done = whole.reduce((sum, { bytes }) => sum + bytes, part.bytes);
    return Math.min(1, done / Math.max(1, all));
  };
}

/** Writes documents in order: all.tokens, all.documents, all.lines. */
class Collector {
  readonly #tokens: FlatWriter;
  readonly #documents: FlatWriter;
  readonly #lines: FlatWriter;
  readonly #separator: Uint8Array;
  readonly #lineBreak: Uint8Array;
  readonly #width: number;
  /** Line breaks since the last token of the open document. */
  #breaks = 0;
  /** Whether the open document has a token yet. */
  #open = false;
  tokens = 0;
  documents = 0;
  /** The largest id so far. */
  largest = 0;

  private constructor(files: readonly FlatWriter[], width: 2 | 4, separator: number, lineBreak: readonly number[]) {
    [this.#tokens, this.#documents, this.#lines] = files;
    this.#width = width;
    this.#separator = bytesOf([separator], width);
    this.#lineBreak = bytesOf(lineBreak, width);
    this.largest = Math.max(separator, ...lineBreak);
  }

  static async create(folder: string, width: 2 | 4, separator: number, lineBreak: readonly number[]) {
    const files: FlatWriter[] = [];
    for (const name of ["tokens", "documents", "lines"])
      files.push(await FlatWriter.create(join(folder, `all.${name}`)));
    return new Collector(files, width, separator, lineBreak);
  }

  async add({ ids, ends, breaks, breakAfter, largest }: EncodedBlock): Promise<void> {
    this.largest = Math.max(this.largest, largest);
    const bytes = new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
    let start = 0;
    for (let line = 0; line < ends.length; line++) {
      if (breaks[line] === 1) await this.#closeDocument();
      const end = ends[line];
      if (end > start) {
        if (!this.#open) {
          this.#open = true;
          this.documents++;
          await this.#documents.position(this.tokens);
        } else {
          for (let i = 0; i < this.#breaks; i++) await this.#write(this.#lineBreak);
        }
        this.#breaks = 0;
        await this.#lines.position(this.tokens);
        await this.#write(bytes.subarray(start * this.#width, end * this.#width));
        start = end;
      }
      this.#breaks++;
    }
    if (breakAfter) await this.#closeDocument();
  }

  async close(): Promise<void> {
    await this.#closeDocument();
    for (const file of [this.#documents, this.#lines]) await file.position(this.tokens);
    for (const file of [this.#tokens, this.#documents, this.#lines]) await file.close();
  }

  async #closeDocument(): Promise<void> {
    if (this.#open) await this.#write(this.#separator);
    this.#open = false;
    this.#breaks = 0;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await this.#tokens.bytes(bytes);
    this.tokens += bytes.length / this.#width;
  }
}

/** Parts all.* into train.* and validation.* and removes it. @param held how many documents are held out */
async function split(folder: string, width: 2 | 4, documents: number, held: number): Promise<[PartInfo, PartInfo]> {
  const order = new Permutation(documents, new RandomStream(0, "held-out documents"));
  const all = (name: string) => new FlatReader(join(folder, `all.${name}`));
  const [tokens, starts, lines] = [all("tokens"), all("documents"), all("lines")];
  const parts = [await PartWriter.create(folder, "train"), await PartWriter.create(folder, "validation")];
  try {
    let start = starts.position() ?? 0;
    let line = lines.position() ?? 0;
    for (let document = 0; document < documents; document++) {
      const part = parts[held > 0 && order.at(document) < held ? 1 : 0];
      const end = starts.position() ?? start;
      await part.documents.position(part.info.tokens);
      for (; line < end; line = lines.position() ?? end) {
        await part.lines.position(part.info.tokens + line - start);
        part.info.lines++;
      }
      for (let left = (end - start) * width; left > 0; ) {
        const bytes = tokens.take(left);
        await part.tokens.bytes(bytes);
        left -= bytes.length;
      }
      part.info.documents++;
      part.info.tokens += end - start;
      start = end;
    }
  } finally {
    for (const file of [tokens, starts, lines]) file.close();
    for (const part of parts) await part.close();
  }
  for (const name of ["tokens", "documents", "lines"]) await rm(join(folder, `all.${name}`));
  return [parts[0].info, parts[1].info];
}

class PartWriter {
  readonly tokens: FlatWriter;
  readonly documents: FlatWriter;
  readonly lines: FlatWriter;
  readonly info = { documents: 0, lines: 0, tokens: 0 };

  private constructor(files: readonly FlatWriter[]) {
    [this.tokens, this.documents, this.lines] = files;
  }

  static async create(folder: string, part: string): Promise<PartWriter> {
    const files: FlatWriter[] = [];
    for (const name of ["tokens", "documents", "lines"]) {
      files.push(await FlatWriter.create(join(folder, `${part}.${name}`)));
    }
    return new PartWriter(files);
  }

  async close(): Promise<void> {
    for (const file of [this.documents, this.lines]) await file.position(this.info.tokens);
    for (const file of [this.tokens, this.documents, this.lines]) await file.close();
  }
}

function bytesOf(ids: readonly number[], width: 2 | 4): Uint8Array {
  const array = width === 2 ? Uint16Array.from(ids) : Uint32Array.from(ids);
  return new Uint8Array(array.buffer);
}

/** What is written after each document. */
function separatorOf(tokenizer: Tokenizer, where: string, note: (text: string) => void): number {
  const { cls, sep, eos } = tokenizer.info.special;
  const separator = cls !== undefined && sep !== undefined ? sep : (eos ?? sep);
  if (separator === undefined) {
    // A tokenizer.json alone names no roles; what ends a text can be told from its name.
    const known = addedTokens(tokenizer.description.json).find(
      ({ content, special }) => special && ["<|endoftext|>", "</s>", "[SEP]"].includes(content),
    );
    if (known !== undefined) {
      const rest = "to train with masks, name cls_token, sep_token and mask_token in special_tokens_map.json";
      note(`no file says which token ends a text, so ${known.content} is taken; ${rest}`);
      return known.id;
    }
    const wayOut = "name one in special_tokens_map.json: sep_token ([SEP]) or eos_token (<|endoftext|>)";
    throw new UserError("the tokenizer has no separator and no end-of-text token", where, wayOut);
  }
  return separator;
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

function checkParts(
  train: PartInfo,
  validation: PartInfo,
  body: number,
  held: boolean,
  paths: readonly string[],
): void {
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
