/** A device in a worker thread of its own, and the way there and back. */
import type { Type } from "../program/graph.ts";
import { answering, Thread } from "../util/worker.ts";
import type { Device, Tensors } from "./device.ts";
import type { TensorData } from "./engine.ts";

/** A method of the device and what it is given. */
type Call = readonly [method: string, ...args: readonly unknown[]];

export class WorkerDevice<P> implements Device<P> {
  readonly #thread: Thread<Call, unknown>;

  /** @param script a file that serves a device @param ended called when the thread is gone */
  constructor(script: URL, workerData: unknown, ended?: () => void) {
    this.#thread = new Thread(script, { workerData, execArgv: [] }, ended);
  }

  /** What the device's method of that name gives. */
  ask<T>(...call: Call): Promise<T> {
    return this.#thread.ask(call);
  }

  load(program: number, plan: P): Promise<undefined> {
    return this.ask("load", program, plan);
  }

  run(program: number, inputs: Tensors): Promise<Record<string, TensorData>> {
    return this.ask("run", program, inputs);
  }

  unload(program: number): Promise<unknown> {
    return this.ask("unload", program);
  }

  write(name: string, type: Type, data: TensorData): Promise<unknown> {
    return this.ask("write", name, type, data);
  }

  read(name: string): Promise<TensorData> {
    return this.ask("read", name);
  }

  drop(names: readonly string[]): Promise<unknown> {
    return this.ask("drop", names);
  }

  async close(): Promise<void> {
    await this.ask("close");
    await this.#thread.end();
  }
}

/** In the worker: answers requests by the methods they name. What it gives is its own, so its memory can move. */
export function serve<P>(device: Device<P>): void {
  answering<Call, unknown>(
    ([method, ...args]) => Reflect.get(device, method).apply(device, args),
    (value) => {
      const tensors = ArrayBuffer.isView(value) ? [value] : Object.values(value ?? {});
      return tensors.flatMap((one) =>
        ArrayBuffer.isView(one) && one.buffer instanceof ArrayBuffer ? [one.buffer] : [],
      );
    },
  );
}
