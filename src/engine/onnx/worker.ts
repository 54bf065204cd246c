/**
 * The engine's worker thread: onnxruntime's `run` blocks the thread that calls it, so it has one of its own, and the
 * tensors live here.
 */
import { workerData } from "node:worker_threads";
import { serve } from "../worker.ts";
import { Runner } from "./runner.ts";

serve(new Runner(workerData));
