/**
 * The embedded engine: programs lowered to ONNX and run by onnxruntime on the CPU, with what ONNX is bad at in
 * WebAssembly kernels beside it. Everything runs and lives in a worker thread (worker.ts); this side lowers programs,
 * checks what it is given, and passes requests on in their order.
 */
import { Worker } from "node:worker_threads";
import { type Program, type Shape, size } from "../../program/graph.ts";
import { UserError } from "../../util/errors.ts";
import { workerUrl } from "../../util/worker.ts";
import type { Engine, EngineKind, EngineSettings, Executable, TensorData } from "../engine.ts";
import { watched } from "./guard.ts";
import { lower } from "./lower.ts";
import type { Answer, Request, WorkerSettings } from "./protocol.ts";

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
      throw new UserError(
        "onnxruntime has no bf16 products on a CPU",
        "engine.precision",
        "set it to f32 or auto, or choose another engine",
      );
    }
    return open(settings.threads);
  },
};

async function open(threads: EngineSettings["threads"]): Promise<Engine> {
  const line = new Line(threads);
  const { text } = await line.ask({ kind: "version" });
  return new OnnxEngine(line, `onnxruntime-node ${text}, f32, ${threads} ${threads === 1 ? "thread" : "threads"}`);
}

/** The way to the worker and back. The worker keeps the process alive only while an answer is awaited. */
class Line {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(answer: Answer): void; reject(error: Error): void }>();
  #next = 0;
  #over: Error | undefined;

  constructor(threads: number) {
    const { flags, forget } = watched();
    const settings: WorkerSettings = { threads, flags };
    this.#worker = new Worker(workerUrl(import.meta.url, "./worker.ts"), { workerData: settings, execArgv: [] });
    this.#worker.on("message", (answer: Answer) => this.#settle(answer));
    this.#worker.on("error", (error) => this.#end(new Error(`the ONNX engine's worker failed: ${error.message}`)));
    this.#worker.on("exit", () => {
      forget();
      this.#end(new Error("the engine is closed"));
    });
  }

  ask(request: Request): Promise<Answer> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    const id = this.#next++;
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request });
    });
  }

  async close(): Promise<void> {
    if (this.#over !== undefined) return;
    const exit = new Promise<void>((resolve) => {
      this.#worker.once("exit", () => resolve());
    });
    await this.ask({ kind: "close" });
    this.#worker.ref();
    await exit;
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) this.#worker.unref();
    if (answer.error === undefined) waiting?.resolve(answer);
    else waiting?.reject(new Error(answer.error));
  }

  #end(error: Error): void {
    this.#over ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#over);
    this.#waiting.clear();
  }
}

class OnnxEngine implements Engine {
  readonly kind = "onnx";
  readonly description: string;
  readonly #line: Line;
  readonly #names = new Set<string>();
  #programs = 0;

  constructor(line: Line, description: string) {
    this.#line = line;
    this.description = description;
  }

  async compile(program: Program): Promise<Executable> {
    const number = this.#programs++;
    await this.#line.ask({ kind: "compile", program: number, plan: lower(program) });
    return {
      program,
      run: async (inputs) => {
        const { outputs } = await this.#line.ask({ kind: "run", program: number, inputs: checked(program, inputs) });
        return { ...outputs };
      },
      release: async () => {
        await this.#line.ask({ kind: "release", program: number });
      },
    };
  }

  async write(name: string, shape: Shape, data: TensorData): Promise<void> {
    if (data.length !== size(shape)) {
      throw new Error(`state ${name} of shape [${shape}] needs ${size(shape)} numbers, not ${data.length}`);
    }
    this.#names.add(name);
    const dtype = data instanceof Float32Array ? "f32" : "i32";
    await this.#line.ask({ kind: "write", name, dtype, shape, data });
  }

  async read(name: string): Promise<TensorData> {
    const { data } = await this.#line.ask({ kind: "read", name });
    if (data === undefined) throw new Error(`the engine holds no tensor ${name}`);
    return data;
  }

  names(): readonly string[] {
    return [...this.#names];
  }

  async drop(names: Iterable<string>): Promise<void> {
    const dropped = [...names];
    for (const name of dropped) this.#names.delete(name);
    await this.#line.ask({ kind: "drop", names: dropped });
  }

  close(): Promise<void> {
    return this.#line.close();
  }
}

/** The program's inputs and no others, each of the right kind and size. */
function checked(program: Program, inputs: Readonly<Record<string, TensorData>>): Record<string, TensorData> {
  const given: Record<string, TensorData> = {};
  for (const [name, { dtype, shape }] of program.inputs) {
    const data = inputs[name];
    if (data === undefined) throw new Error(`input ${name} is missing`);
    if (data.length !== size(shape) || data instanceof Float32Array !== (dtype === "f32")) {
      throw new Error(`input ${name} must be ${size(shape)} numbers of ${dtype}, not ${data.length}`);
    }
    given[name] = data;
  }
  return given;
}
