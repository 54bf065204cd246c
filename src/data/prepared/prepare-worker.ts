/**
 * A worker of `prepare`: blocks of text come in, their tokens go back. It holds no state that a result depends on, so
 * any worker may take any block.
 */
import { workerData } from "node:worker_threads";
import { answering } from "../../util/worker.ts";
import type { Block } from "../text/blocks.ts";
import { joinLines, parseLines } from "../text/lines.ts";
import type { TokenizerDescription } from "../tokenizer/folder.ts";
import { fromDescription } from "../tokenizer/tokenizer.ts";

export interface WorkerSetting {
  readonly description: TokenizerDescription;
  readonly folder: string;
  readonly width: 2 | 4;
  /** Whether a document is one text; else each of its lines is. */
  readonly whole: boolean;
}

/** A block's tokens, its lines one after the other, without separators and line breaks. */
export interface EncodedBlock {
  readonly ids: Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
  /** Where each line ends in ids. */
  readonly ends: Uint32Array<ArrayBuffer>;
  /** As in Lines. */
  readonly breaks: Uint8Array;
  readonly breakAfter: boolean;
  /** The largest id; 0 where there is none. */
  readonly largest: number;
}

const { description, folder, width, whole }: WorkerSetting = workerData;
const opening = fromDescription(description, folder);
answering(
  async (block: Block): Promise<EncodedBlock> => {
    const { texts, breaks, breakAfter } = whole ? joinLines(parseLines(block)) : parseLines(block);
    const { ids, ends } = await (await opening).encode(texts);
    const largest = ids.reduce((most, id) => Math.max(most, id), 0);
    return { ids: width === 2 ? Uint16Array.from(ids) : ids, ends, breaks, breakAfter, largest };
  },
  ({ ids, ends }) => [ids.buffer, ends.buffer],
);
