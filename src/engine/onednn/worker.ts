/** The engine's worker thread: one runtime, driven by messages. Each request is answered under its number. */
import { parentPort, workerData } from "node:worker_threads";
import type { Type } from "../../program/graph.ts";
import type { TensorData } from "../engine.ts";
import { loadLibrary } from "./library.ts";
import { Runtime } from "./runtime.ts";
import type { Plan } from "./steps.ts";

export type Request =
  | { readonly do: "write"; readonly name: string; readonly type: Type; readonly data: TensorData }
  | { readonly do: "read"; readonly name: string }
  | { readonly do: "drop"; readonly names: readonly string[] }
  | { readonly do: "load"; readonly program: number; readonly plan: Plan }
  | { readonly do: "unload"; readonly program: number }
  | { readonly do: "run" | "profile"; readonly program: number; readonly inputs: Readonly<Record<string, TensorData>> }
  | { readonly do: "close" };

export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

const { threads }: { threads: number } = workerData;
const runtime = new Runtime(loadLibrary(), threads);

async function answer(request: Request): Promise<unknown> {
  switch (request.do) {
    case "write":
      return runtime.write(request.name, request.type, request.data);
    case "read":
      return runtime.read(request.name);
    case "drop":
      for (const name of request.names) runtime.drop(name);
      return undefined;
    case "load":
      return runtime.load(request.program, request.plan);
    case "unload":
      return runtime.unload(request.program);
    case "run":
      return runtime.run(request.program, request.inputs);
    case "profile":
      return runtime.profile(request.program, request.inputs);
    case "close":
      return runtime.close();
  }
}

parentPort?.on("message", async ({ id, request }: { id: number; request: Request }) => {
  try {
    parentPort?.postMessage({ id, value: await answer(request) });
  } catch (error) {
    parentPort?.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
  if (request.do === "close") parentPort?.close();
});
