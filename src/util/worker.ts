/**
 * Worker threads: where a script is, and what is asked of a thread and answered. Node runs only JavaScript in a worker, so code that itself runs from `src/` (the
 * tests) starts the built file of the same name in `dist/`; `npm test` builds before it tests.
 */
import { existsSync } from "node:fs";
import { relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parentPort, type Transferable, Worker, type WorkerOptions } from "node:worker_threads";
import { UserError } from "./errors.ts";
import { packageRoot } from "./paths.ts";

/**
 * @param from the caller's `import.meta.url`
 * @param script the worker's file relative to the caller, as in an import: "./worker.ts"
 * @throws Error if the script has not been built
 */
export function workerUrl(from: string, script: string): URL {
  const url = new URL(script.replace(/\.ts$/, from.endsWith(".ts") ? ".ts" : ".js"), from);
  if (!from.endsWith(".ts")) return url;
  const inside = relative(`${packageRoot()}src`, fileURLToPath(url)).split(sep).join("/");
  const built = `${packageRoot()}dist/${inside.replace(/\.ts$/, ".js")}`;
  if (!existsSync(built)) throw new Error(`${built} is missing: run \`npm run build\` first`);
  return pathToFileURL(built);
}

/** What a thread says to a message; an error that a person is to read is taken apart for the way. */
type Reply<Answer> =
  | { readonly answer: Answer }
  | { readonly refused: readonly [what: string, where: string, wayOut: string] }
  | { readonly failed: unknown };

/**
 * A thread whose script calls `answering`: what it is asked is answered in order. It keeps the process alive only while an
 * answer is awaited.
 */
export class Thread<Message, Answer> {
  readonly #worker: Worker;
  readonly #asked: { resolve(answer: Answer | PromiseLike<Answer>): void; reject(error: unknown): void }[] = [];
  /** Why it answers no more. */
  #ended: { readonly error: unknown } | undefined;

  /** @param gone called when the thread is no more */
  constructor(script: URL, options?: WorkerOptions, gone = () => {}) {
    this.#worker = new Worker(script, options);
    this.#worker.on("message", (reply: Reply<Answer>) => {
      const first = this.#asked.shift();
      if (this.#asked.length === 0) this.#worker.unref();
      if ("answer" in reply) first?.resolve(reply.answer);
      else first?.reject("refused" in reply ? new UserError(...reply.refused) : reply.failed);
    });
    const end = (error: unknown) => {
      this.#ended ??= { error };
      for (const { reject } of this.#asked.splice(0)) reject(this.#ended.error);
    };
    this.#worker.on("error", end);
    this.#worker.on("exit", () => {
      gone();
      end(new Error(`the thread of ${script.pathname} has ended`));
    });
  }

  /** How many messages are not answered yet. */
  get waiting(): number {
    return this.#asked.length;
  }

  /** @param moved memory of the message that the thread takes over */
  ask<A extends Answer>(message: Message, moved: readonly Transferable[] = []): Promise<A> {
    const answer = new Promise<A>((resolve, reject) => {
      if (this.#ended !== undefined) throw this.#ended.error;
      this.#asked.push({ resolve, reject });
      this.#worker.ref();
      this.#worker.postMessage(message, moved);
    });
    // Whoever awaits it later hears of a failure; until then it is not one that nobody handles.
    answer.catch(() => {});
    return answer;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** In a thread: answers one message after the other. @param moved memory of the answer that is handed over */
export function answering<Message, Answer>(
  handle: (message: Message) => Promise<Answer> | Answer,
  moved: (answer: Answer) => readonly Transferable[] = () => [],
): void {
  const reply = (one: Reply<Answer>, memory?: readonly Transferable[]) => parentPort?.postMessage(one, memory);
  let turn = Promise.resolve();
  parentPort?.on("message", (message: Message) => {
    turn = turn
      .then(() => handle(message))
      .then((answer) => reply({ answer }, moved(answer)))
      .catch((error: unknown) => {
        reply(error instanceof UserError ? { refused: [error.what, error.where, error.wayOut] } : { failed: error });
      });
  });
}
