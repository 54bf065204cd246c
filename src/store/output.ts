/**
 * Files as they are written: `OutputFile` from its start to its end, by whatever writes whole files and folders (files.ts),
 * and logs that grow. All bytes that this package writes go through here. A folder that is being filled has a ledger: what
 * was written below it, and the SHA-256 of that, made of the bytes as they are handed to the system.
 */
import { type FileHandle, open, rename, symlink } from "node:fs/promises";
import { dirname, relative, sep } from "node:path";
import { errorCode, systemError } from "../util/system.ts";
import { isRefusal, openDirect, wholeBlocks } from "./direct.ts";
import { type Hashing, hashing } from "./hashing.ts";
import { makeFolders, piecesOf, syncFolder } from "./places.ts";

/** Small pieces are gathered up to so many bytes before the system is asked to take them. */
const GATHER = 2 ** 16;

/** So many bytes at a time are sent to the disk while a file is still being written. */
const SYNCED = 2 ** 26;

/** From this size on a file is worth writing directly, as far as its bytes lie as they must for that (direct.ts). */
const DIRECT = 2 ** 20;

const nothing = Promise.resolve();

/**
 * A file being written from its start to its end. All bytes of whole files go through here. They are taken in the order
 * in which they are given; who does not wait for each write has several under way, which are written and hashed
 * side by side.
 */
export class OutputFile {
  readonly #handle: FileHandle;
  /** The same file, for what is written directly. */
  #direct: Promise<FileHandle | undefined> | undefined;
  /** Under which name the file is to be found when it is whole. */
  readonly #place: string;
  readonly #hash: Hashing | undefined;
  readonly #large: boolean;
  #gathered = Buffer.alloc(0);
  #pending = 0;
  /** Bytes handed on, and how many of them the system holds. */
  #given = 0;
  #written = 0;
  /** Writes that are under way side by side: the next one waits for the one begun before the last. */
  readonly #lanes = [nothing, nothing];
  #turn = 0;
  #synced = 0;
  #syncing: Promise<void> | undefined;
  /** What the first write or sync that failed has thrown. */
  #failed: unknown;

  /** @internal @param bytes how many are expected, about */
  constructor(handle: FileHandle, place: string, bytes = 0) {
    this.#handle = handle;
    this.#place = place;
    this.#large = bytes >= DIRECT;
    this.#hash = ledgerOf(place)?.ledger.hashes === true ? hashing(bytes) : undefined;
  }

  /** Bytes given so far. */
  get position(): number {
    return this.#given + this.#pending;
  }

  /** The data may be used anew as soon as this is done. What comes after a write that failed fails as well. */
  write(data: Uint8Array): Promise<void> {
    if (data.byteLength >= GATHER) {
      const { before, whole } = wholeBlocks(data, this.position);
      if (this.#large && whole >= GATHER) return this.#writeDirectly(data, before, before + whole);
      this.#flush();
      return this.#put(data);
    }
    const flushed = this.#pending + data.byteLength > GATHER ? this.#flush() : nothing;
    this.#gather(data);
    return flushed;
  }

  /** Whole blocks from where they are, the rest with what comes before and after. */
  #writeDirectly(data: Uint8Array, start: number, end: number): Promise<void> {
    if (this.#pending + start > GATHER) this.#flush();
    this.#gather(data.subarray(0, start));
    this.#flush();
    if (this.#direct === undefined) {
      this.#direct = Promise.all(this.#lanes).then(() => openDirect(this.#place));
      // It is awaited by those who write.
      this.#direct.catch(() => {});
    }
    const taken = this.#put(data.subarray(start, end), this.#direct);
    this.#gather(data.subarray(end));
    return taken;
  }

  #gather(data: Uint8Array): void {
    if (this.#gathered.length === 0) this.#gathered = Buffer.alloc(GATHER);
    this.#gathered.set(data, this.#pending);
    this.#pending += data.byteLength;
  }

  #flush(): Promise<void> {
    if (this.#pending === 0) return nothing;
    const data = this.#gathered.subarray(0, this.#pending);
    this.#gathered = Buffer.alloc(0);
    this.#pending = 0;
    return this.#put(data);
  }

  #put(data: Uint8Array, direct?: Promise<FileHandle | undefined>): Promise<void> {
    const hashed = this.#hash?.update(data);
    const from = this.#given;
    this.#given += data.byteLength;
    // Few writes at a time, so that the n-th change of a file is the same one in every run; hashed meanwhile.
    this.#turn = (this.#turn + 1) % this.#lanes.length;
    const written = this.#lanes[this.#turn].then(() => this.#writeAt(data, from, direct));
    this.#lanes[this.#turn] = written;
    const taken = Promise.all([written, hashed]).then(() => {});
    // Whoever waits hears of a failure, and so does `close`.
    written.catch(() => {});
    taken.catch(() => {});
    return taken;
  }

  async #writeAt(data: Uint8Array, from: number, direct: Promise<FileHandle | undefined> | undefined): Promise<void> {
    try {
      if (this.#failed !== undefined) throw this.#failed;
      let handle = (await direct) ?? this.#handle;
      for (let done = 0; done < data.byteLength; ) {
        // One call takes at most 2^31 − 1 bytes.
        const length = Math.min(data.byteLength - done, 2 ** 30);
        try {
          const { bytesWritten } = await handle.write(data, done, length, from + done);
          done += bytesWritten;
          if (handle === this.#handle) this.#written += bytesWritten;
        } catch (error) {
          if (handle === this.#handle || !isRefusal(error)) throw error;
          handle = this.#handle;
        }
      }
    } catch (error) {
      this.#failed ??= error;
      throw error;
    }
    if (this.#written - this.#synced >= SYNCED && this.#syncing === undefined) this.#syncSoFar();
  }

  /** A disk that starts early is not waited for at the end. What fails here is thrown by `close`. */
  #syncSoFar(): void {
    this.#synced = this.#written;
    this.#syncing = this.#handle.datasync().then(
      () => {
        this.#syncing = undefined;
      },
      (error: unknown) => {
        this.#failed ??= error;
      },
    );
  }

  /** Writes what is left, syncs and closes. */
  async close(): Promise<void> {
    let hash: string | undefined;
    try {
      try {
        this.#flush();
        await Promise.all(this.#lanes);
        await this.#syncing;
        // The system tells of a failed sync once, so this one's might say that all is well.
        if (this.#failed !== undefined) throw this.#failed;
        await this.#handle.sync();
      } finally {
        await this.#closeAll();
      }
      hash = await this.#hash?.digest();
    } catch (error) {
      await this.#hash?.abandon();
      throw error;
    }
    const found = ledgerOf(this.#place);
    found?.ledger.written.set(found.name, hash ?? "");
  }

  /** Closes what will not become whole. */
  async abandon(): Promise<void> {
    await Promise.allSettled(this.#lanes);
    await this.#syncing;
    await this.#hash?.abandon();
    await this.#closeAll();
  }

  async #closeAll(): Promise<void> {
    const direct = await this.#direct?.catch(() => undefined);
    await direct?.close();
    await this.#handle.close();
  }
}

/** Creates a file that must not exist yet: for writing inside the temporary folder of `writeFolderWhole`. */
export async function createFile(path: string, bytes?: number): Promise<OutputFile> {
  return new OutputFile(await open(path, "wx"), path, bytes);
}

/** Writes a file inside the temporary folder of `writeFolderWhole`. @param bytes how many are expected, about */
export async function fillFile(path: string, data: Content, bytes?: number): Promise<void> {
  await fill(await createFile(path, bytes), data);
}

/** Copies a file into the temporary folder of `writeFolderWhole`. */
export async function copyInto(from: string, to: string): Promise<void> {
  await fillFile(to, async (file) => {
    for await (const bytes of piecesOf(from)) await file.write(bytes);
  });
}

/** A log: what is appended is synced now and then, so a crash may tear its end. All of it throws UserErrors. */
export type AppendedFile = Awaited<ReturnType<typeof appendTo>>;

/** Opens a log at its end; its name is synced. @throws UserError */
export async function appendTo(path: string) {
  const fail = (error: unknown): never => {
    throw systemError(error, path);
  };
  const handle = await open(path, "a").catch(fail);
  await syncFolder(dirname(path)).catch(fail);
  return {
    append: (data: string | Uint8Array): Promise<void> => handle.appendFile(data).catch(fail),
    sync: (): Promise<void> => handle.sync().catch(fail),
    close: (): Promise<void> => handle.close(),
  };
}

/** Gives a file or folder that has grown at another place, and is whole and synced, its name. */
export async function named(part: string, path: string): Promise<void> {
  await rename(part, path);
  await syncFolder(dirname(path));
}

/** A link at `path` to a file, relative, its folders made; one that is there stays. */
export async function linkTo(file: string, path: string): Promise<void> {
  await makeFolders(dirname(path));
  await symlink(relative(dirname(path), file), path).catch((error: unknown) => {
    if (errorCode(error) !== "EEXIST") throw error;
  });
}

/** What a file is to hold, or what writes that. */
export type Content = string | Uint8Array | ((file: OutputFile) => Promise<void>);

/** Fills and closes a file. */
export async function fill(file: OutputFile, data: Content): Promise<void> {
  try {
    if (typeof data === "function") await data(file);
    else await file.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
  } catch (error) {
    await file.abandon();
    throw error;
  }
  await file.close();
}

/** What was written, and synced, below a folder that is being filled: SHA-256 by the path in it, "" if none is wanted. */
export interface Ledger {
  readonly hashes: boolean;
  readonly written: Map<string, string>;
}

export const ledgers = new Map<string, Ledger>();

export function ledgerOf(path: string): { ledger: Ledger; name: string } | undefined {
  for (const [folder, ledger] of ledgers) {
    if (path.startsWith(folder + sep)) return { ledger, name: relative(folder, path).replaceAll(sep, "/") };
  }
  return undefined;
}
