/** A device in a worker thread, and the way there and back: requests are answered one after the other, in their order. */
import { parentPort, Worker } from "node:worker_threads";
import type { Type } from "../program/graph.ts";
import type { Device, Tensors } from "./device.ts";
import type { TensorData } from "./engine.ts";

interface Request {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

/** The worker keeps the process alive only while an answer is awaited. */
export class WorkerDevice<P> implements Device<P> {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #next = 0;
  #over: Error | undefined;

  /** @param script a file that serves a device @param ended called when the thread is gone */
  constructor(script: URL, workerData: unknown, ended = () => {}) {
    this.#worker = new Worker(script, { workerData, execArgv: [] });
    this.#worker.on("message", (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (this.#waiting.size === 0) this.#worker.unref();
      if ("error" in answer) waiting?.reject(new Error(answer.error));
      else waiting?.resolve(answer.value);
    });
    this.#worker.on("error", (error) => this.#end(new Error(`the engine's worker failed: ${error.message}`)));
    this.#worker.on("exit", () => {
      ended();
      this.#end(new Error("the engine is closed"));
    });
  }

  /** What the device's method of that name gives. */
  ask<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    const id = this.#next++;
    this.#worker.ref();
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, args } satisfies Request);
    });
  }

  load(program: number, plan: P): Promise<undefined> {
    return this.ask("load", program, plan);
  }

  run(program: number, inputs: Tensors): Promise<Record<string, TensorData>> {
    return this.ask("run", program, inputs);
  }

  unload(program: number): Promise<void> {
    return this.ask("unload", program);
  }

  write(name: string, type: Type, data: TensorData): Promise<void> {
    return this.ask("write", name, type, data);
  }

  read(name: string): Promise<TensorData> {
    return this.ask("read", name);
  }

  drop(names: readonly string[]): Promise<void> {
    return this.ask("drop", names);
  }

  async close(): Promise<void> {
    if (this.#over !== undefined) return;
    const exit = new Promise<void>((resolve) => {
      this.#worker.once("exit", () => resolve());
    });
    await this.ask("close");
    this.#worker.ref();
    await exit;
  }

  #end(error: Error): void {
    this.#over ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#over);
    this.#waiting.clear();
  }
}

type Asked<P> = Omit<Device<P>, "ahead" | "processes" | "snapshot" | "layout">;

/** What a worker serves: a device's methods, which may answer at once. */
export type Served<P> = { [K in keyof Asked<P>]: (...args: Parameters<NonNullable<Asked<P>[K]>>) => unknown };

/** In the worker: answers requests by the methods they name. What it gives is its own, so its memory can move. */
export function serve<P>(device: Served<P>): void {
  const port = parentPort;
  if (port === null) throw new Error("this file runs in a worker thread");
  let last = Promise.resolve();
  port.on("message", ({ id, method, args }: Request) => {
    last = last.then(async () => {
      try {
        const value: unknown = await Reflect.get(device, method).apply(device, args);
        const tensors = ArrayBuffer.isView(value) ? [value] : Object.values(value ?? {});
        const buffers = tensors.flatMap((one) =>
          ArrayBuffer.isView(one) && one.buffer instanceof ArrayBuffer ? [one.buffer] : [],
        );
        port.postMessage({ id, value } satisfies Answer, buffers);
        if (method === "close") port.close();
      } catch (error) {
        port.postMessage({ id, error: error instanceof Error ? error.message : String(error) } satisfies Answer);
      }
    });
  });
}
