/** The engine's worker thread: one runtime. */
import { workerData } from "node:worker_threads";
import { serve } from "../worker.ts";
import { loadLibrary } from "./library.ts";
import { Runtime } from "./runtime.ts";

serve(new Runtime(loadLibrary(), workerData.threads));
