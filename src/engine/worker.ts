/** A device in a worker thread of its own, and the way there and back. */
import { answering, Thread } from "../util/worker.ts";
import type { Device } from "./device.ts";

/** A method of the device and what it is given. */
type Call = readonly [method: string, ...args: readonly unknown[]];

/** @param script a file that serves a device @param ended called when the thread is gone */
export function workerDevice<P>(script: URL, workerData: unknown, ended?: () => void) {
  const thread = new Thread<Call, unknown>(script, { workerData, execArgv: [] }, ended);
  /** What the device's method of that name gives. */
  const ask = <T>(...call: Call): Promise<T> => thread.ask(call);
  const device: Device<P> = {
    load: (program, plan) => ask("load", program, plan),
    run: (program, inputs) => ask("run", program, inputs),
    unload: (program) => ask("unload", program),
    write: (name, type, data) => ask("write", name, type, data),
    read: (name) => ask("read", name),
    drop: (names) => ask("drop", names),
    async close() {
      await ask("close");
      await thread.end();
    },
  };
  return { ...device, ask };
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
