/**
 * The engine's worker thread: onnxruntime's `run` blocks the thread that calls it, so it has one of its own, and the
 * tensors live here. Requests are handled one after the other.
 */
import { parentPort, workerData } from "node:worker_threads";
import { library } from "./library.ts";
import type { Answer, Message, Request, WorkerSettings } from "./protocol.ts";
import { Runner } from "./runner.ts";

const settings: WorkerSettings = workerData;
const runner = new Runner(settings);
const port = parentPort;
if (port === null) throw new Error("this file runs in a worker thread");

let last = Promise.resolve();
port.on("message", ({ id, request }: Message) => {
  last = last.then(async () => {
    try {
      const answer: Answer = { id, ...(await handle(request)) };
      port.postMessage(answer, transferable(answer));
      if (request.kind === "close") port.close();
    } catch (error) {
      port.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
    }
  });
});

async function handle(request: Request): Promise<Omit<Answer, "id">> {
  switch (request.kind) {
    case "version":
      return { text: library.env.versions.node ?? library.env.versions.common };
    case "compile":
      await runner.compile(request.program, request.plan);
      return {};
    case "run":
      return { outputs: await runner.run(request.program, request.inputs) };
    case "release":
      await runner.release(request.program);
      return {};
    case "write":
      runner.write(request.name, request.dtype, request.shape, request.data);
      return {};
    case "read":
      return { data: runner.read(request.name) };
    case "drop":
      runner.drop(request.names);
      return {};
    case "close":
      await runner.close();
      return {};
  }
}

/** The runner gives copies, so their memory can move instead of being copied again. */
function transferable({ data, outputs }: Answer): ArrayBuffer[] {
  const arrays = [...(data === undefined ? [] : [data]), ...Object.values(outputs ?? {})];
  return arrays.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer);
}
