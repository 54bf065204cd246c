/**
 * A worker of `prepare`: blocks of text come in, their tokens go back. It holds no state that a result depends on, so
 * any worker may take any block.
 */
import { parentPort, workerData } from "node:worker_threads";
import { UserError } from "../../util/errors.ts";
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

/** An error that a person is to read, taken apart for the way through a message; any other as it is. */
export type Answer =
  | { readonly encoded: EncodedBlock }
  | { readonly refused: readonly [what: string, where: string, wayOut: string] }
  | { readonly failed: Error };

if (parentPort !== null) {
  const port = parentPort;
  const { description, folder, width, whole }: WorkerSetting = workerData;
  const opening = fromDescription(description, folder);
  port.on("message", async (block: Block) => {
    try {
      const lines = whole ? joinLines(parseLines(block)) : parseLines(block);
      const { ids: wide, ends } = await (await opening).encode(lines.texts);
      const ids = width === 2 ? Uint16Array.from(wide) : wide;
      let largest = 0;
      for (const id of wide) if (id > largest) largest = id;
      const encoded = { ids, ends, breaks: lines.breaks, breakAfter: lines.breakAfter, largest };
      const answer: Answer = { encoded };
      port.postMessage(answer, [ids.buffer, ends.buffer]);
    } catch (error) {
      port.postMessage(errorAnswer(error));
    }
  });
}

function errorAnswer(error: unknown): Answer {
  if (error instanceof UserError) return { refused: [error.what, error.where, error.wayOut] };
  return { failed: error instanceof Error ? error : new Error(String(error)) };
}
