/**
 * The way to the host process and back: frames as host.py has them, requests answered by their numbers. Whatever may
 * become of the process (it can't be started, ends, stands still, prints where frames are expected) rejects all that is
 * waited for with one sentence, and ends it.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { UserError } from "../../util/errors.ts";
import type { TensorData } from "../engine.ts";
import { INSTALL } from "./python.ts";

const MAGIC = Buffer.from("b2bX");
const PREFIX = 16;
/** A header that claims more is none. */
const LONGEST_HEADER = 2 ** 20;
/** What JAX's runtime says before it ends a process because of another. */
const FATAL = "distributed service detected fatal errors";

export const CARRY_ON = "start again: a run carries on from its last checkpoint";

/** Of several processes, when this one can't go on without another. */
export function peerLost(how: string): UserError {
  const wayOut = `see what that one said; ${CARRY_ON}, with all processes`;
  return new UserError(`another process of the run ended or stands still (${how})`, "engine xla", wayOut);
}

export type Head = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly head: Head;
  readonly body: Buffer;
}

/** What the host could not do, in its words. */
export class HostRefused extends Error {
  /** `memory`, or the name of Python's exception. */
  readonly kind: string;

  constructor(kind: string, text: string) {
    super(text);
    this.kind = kind;
  }
}

export interface ChannelOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds without a sign of life, while an answer is awaited, after which the process is taken to stand still. */
  readonly patience?: number;
}

/** The process keeps Node alive only while an answer is awaited. */
export class Channel {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  readonly #ended: Promise<void>;
  readonly #patience: number;
  #next = 0;
  #over: Error | undefined;
  #pieces: Buffer[] = [];
  #have = 0;
  #said = "";
  /** Seconds of silence, counted by a clock that stands still when we do. */
  #silent = 0;
  #clock: NodeJS.Timeout | undefined;

  constructor(command: string, args: readonly string[], { env = {}, patience = 45 }: ChannelOptions = {}) {
    this.#patience = patience;
    this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
    const { stdin, stdout, stderr } = this.#child;
    stdout.on("data", (piece: Buffer) => this.#take(piece));
    stderr.on("data", (piece: Buffer) => {
      this.#said = (this.#said + piece.toString()).slice(-4000);
    });
    // That it is gone is told by its end.
    stdin.on("error", () => {});
    this.#ended = new Promise((resolve) => {
      this.#child.on("error", (error) => {
        this.#end(new UserError(`can't be started (${error.message})`, command, INSTALL));
        resolve();
      });
      this.#child.on("close", (code, signal) => {
        const lines = this.#said.trim().split("\n");
        // What XLA ends itself for stands before the stack.
        const last = lines.findLast((line) => /^F\d{4} /.test(line)) ?? lines.at(-1) ?? "";
        const how = `${signal === null ? `with code ${code}` : `by ${signal}`}${last === "" || signal === "SIGKILL" ? "" : `: ${last}`}`;
        const killed = signal === "SIGKILL" ? "if nobody ended it, the machine was out of memory; " : "";
        const own = new UserError(`the XLA host ended ${how}`, "engine xla", `${killed}${CARRY_ON}`);
        this.#end(this.#said.includes(FATAL) ? peerLost("it sends no sign of life") : own);
        resolve();
      });
    });
    this.#hold(false);
  }

  /** The bodies are copied before this returns. @throws UserError if the process is gone, HostRefused if it could not */
  ask(head: Head, bodies: readonly (TensorData | Buffer)[] = []): Promise<Answer> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    const id = this.#next++;
    const text = Buffer.from(JSON.stringify({ id, ...head }));
    const prefix = Buffer.alloc(PREFIX);
    MAGIC.copy(prefix);
    prefix.writeUInt32LE(text.length, 4);
    prefix.writeBigUInt64LE(BigInt(bodies.reduce((sum, { byteLength }) => sum + byteLength, 0)), 8);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      if (this.#waiting.size === 1) this.#hold(true);
      this.#child.stdin.write(Buffer.concat([prefix, text]));
      for (const { buffer, byteOffset, byteLength } of bodies) {
        if (byteLength > 0) this.#child.stdin.write(Buffer.from(buffer.slice(byteOffset, byteOffset + byteLength)));
      }
    });
  }

  async close(): Promise<void> {
    this.#hold(true);
    this.#over ??= new Error("the engine is closed");
    this.#child.stdin.end();
    const late = setTimeout(() => this.#child.kill("SIGKILL"), 5000);
    await this.#ended;
    clearTimeout(late);
    this.#hold(false);
  }

  #take(piece: Buffer): void {
    this.#silent = 0;
    this.#pieces.push(piece);
    this.#have += piece.length;
    while (this.#have >= PREFIX && this.#over === undefined) {
      if (this.#pieces[0].length < PREFIX) this.#pieces = [Buffer.concat(this.#pieces)];
      const [first] = this.#pieces;
      const length = first.readUInt32LE(4);
      if (!first.subarray(0, 4).equals(MAGIC) || length > LONGEST_HEADER) {
        this.#polluted(first);
        return;
      }
      const total = PREFIX + length + Number(first.readBigUInt64LE(8));
      if (this.#have < total) return;
      const all = this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces);
      this.#pieces = all.length > total ? [all.subarray(total)] : [];
      this.#have = all.length - total;
      this.#settle(JSON.parse(all.toString("utf8", PREFIX, PREFIX + length)), all.subarray(PREFIX + length, total));
    }
  }

  #settle(head: Head, body: Buffer): void {
    const waiting = this.#waiting.get(Number(head.id));
    if (waiting === undefined) return;
    this.#waiting.delete(Number(head.id));
    if (this.#waiting.size === 0) this.#hold(false);
    if (head.error === undefined) waiting.resolve({ head, body });
    else waiting.reject(new HostRefused(String(head.error), String(head.text)));
  }

  #polluted(found: Buffer): void {
    const text = found.toString("latin1", 0, 60);
    const what = `something printed «${text}» where the XLA host's answers are expected`;
    this.#end(
      new UserError(what, "engine xla", `let that Python print nothing by itself (sitecustomize); ${CARRY_ON}`),
    );
  }

  #end(error: Error): void {
    if (this.#over === undefined) {
      this.#over = error;
      this.#child.kill("SIGKILL");
    }
    for (const { reject } of this.#waiting.values()) reject(this.#over);
    this.#waiting.clear();
    this.#hold(false);
  }

  /** Whether something is awaited: then Node lives on, and the silence is measured. */
  #hold(awaited: boolean): void {
    clearInterval(this.#clock);
    this.#silent = 0;
    if (awaited) this.#clock = setInterval(() => this.#tick(), 1000);
    const streams = [this.#child.stdin, this.#child.stdout, this.#child.stderr];
    for (const one of [this.#child, ...streams.filter((stream) => stream instanceof Socket)]) {
      if (awaited) one.ref();
      else one.unref();
    }
  }

  #tick(): void {
    if (++this.#silent < this.#patience) return;
    const what = `the XLA host stood still for ${this.#patience} s and was ended`;
    this.#end(new UserError(what, "engine xla", CARRY_ON));
  }
}
