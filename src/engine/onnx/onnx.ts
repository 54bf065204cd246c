/**
 * The embedded engine: programs lowered to ONNX and run by onnxruntime on the CPU, with what ONNX is bad at in
 * WebAssembly kernels beside it. Everything runs and lives in a worker thread (worker.ts); this side lowers programs.
 */
import { UserError } from "../../util/errors.ts";
import { workerUrl } from "../../util/worker.ts";
import { DeviceEngine } from "../device.ts";
import type { Engine, EngineKind } from "../engine.ts";
import { workerDevice } from "../worker.ts";
import { watched } from "./guard.ts";
import { lower } from "./lower.ts";
import type { Plan } from "./plan.ts";
import type { RunnerSettings } from "./runner.ts";

export const onnxEngine: EngineKind = {
  kind: "onnx",
  async probe() {
    try {
      const engine = await open(1);
      const { description } = engine;
      await engine.close();
      return { usable: true, description };
    } catch (error) {
      return {
        usable: false,
        reason: error instanceof Error ? error.message : String(error),
        wayOut: "install bert2bert again (in a clone: npm ci), on a platform that onnxruntime-node has a library for",
      };
    }
  },
  async open(settings) {
    if (settings.precision === "bf16") {
      const what = "onnxruntime has no bf16 products on a CPU";
      throw new UserError(what, "engine.precision", "set it to f32 or auto, or choose another engine");
    }
    return open(settings.threads);
  },
};

async function open(threads: number): Promise<Engine> {
  const { flags, forget } = watched();
  const settings: RunnerSettings = { threads, flags };
  const device = workerDevice<Plan>(workerUrl(import.meta.url, "./worker.ts"), settings, forget);
  const version = await device.ask<string>("version");
  const description = `onnxruntime-node ${version}, f32, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  return new DeviceEngine("onnx", description, device, lower);
}
