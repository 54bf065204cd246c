/**
 * The oneDNN engine: programs become static plans (planner.ts), run by a worker thread on oneDNN's primitives and our
 * own WebAssembly kernels. oneDNN is the library beneath PyTorch's CPU path; whoever has it installed gets the faster
 * engine, whoever has not gets the embedded one.
 */
import { Worker } from "node:worker_threads";
import { expand } from "../../program/expand.ts";
import { type Program, type Shape, size } from "../../program/graph.ts";
import { UserError } from "../../util/errors.ts";
import { workerUrl } from "../../util/worker.ts";
import type { Engine, EngineKind, EngineSettings, Executable, TensorData } from "../engine.ts";
import { type Library, LibraryUnusable, loadLibrary } from "./library.ts";
import { lowerings } from "./lowerings.ts";
import { Planner } from "./planner.ts";
import { halvesPay, halvesWork, selfTest } from "./selftest.ts";
import type { Plan } from "./steps.ts";
import type { Answer, Request } from "./worker.ts";

const WAY_OUT =
  "install oneDNN 2.6 or later (Debian, Ubuntu: libdnnl2 or libdnnl3; Fedora, Homebrew: onednn; conda: onednn), or name its file in BERT2BERT_ONEDNN";

const NAME = "oneDNN";

export const onednnEngine: EngineKind = {
  kind: "onednn",
  async probe() {
    try {
      const library = loadLibrary();
      selfTest(library);
      const { version, path } = library;
      return { usable: true, description: `${NAME} ${version.major}.${version.minor}.${version.patch} (${path})` };
    } catch (error) {
      if (!(error instanceof LibraryUnusable)) throw error;
      return { usable: false, reason: error.message, wayOut: WAY_OUT };
    }
  },
  async open(settings: EngineSettings): Promise<Engine> {
    const found = await onednnEngine.probe();
    if (!found.usable) throw new UserError(found.reason, "engine.kind onednn", found.wayOut);
    const library = loadLibrary();
    const halves = settings.precision === "auto" ? pays(library, settings.before) : settings.precision === "bf16";
    if (settings.precision === "bf16" && !halvesWork(library)) {
      throw new UserError("oneDNN has no bf16 products here", "engine.precision", "set it to f32 or auto");
    }
    return new OneDnnEngine(found.description, halves ? "bf16" : "f32", settings.threads);
  },
};

/** Whether `auto` is bf16: as it was before, where that is known and can be; else as a race says. */
function pays(library: Library, before: string | undefined): boolean {
  const known = before?.startsWith(NAME) === true ? / (f32|bf16), \d+ threads$/.exec(before)?.[1] : undefined;
  return known === undefined ? halvesPay(library) : known === "bf16" && halvesWork(library);
}

/** A program's plan for this engine: plain data, the same on every machine. */
export function planOf(program: Program, precision: "f32" | "bf16" = "f32"): Plan {
  return new Planner(
    expand(program, (op) => lowerings.has(op.name)),
    precision,
  ).plan();
}

class OneDnnEngine implements Engine {
  readonly kind = "onednn";
  readonly description: string;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  readonly #names = new Set<string>();
  #nextRequest = 0;
  #nextProgram = 0;
  #ended: Error | undefined;
  readonly #precision: "f32" | "bf16";

  constructor(description: string, precision: "f32" | "bf16", threads: number) {
    this.description = `${description}, ${precision}, ${threads} threads`;
    this.#precision = precision;
    this.#worker = new Worker(workerUrl(import.meta.url, "./worker.ts"), { workerData: { threads } });
    this.#worker.on("message", (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if ("error" in answer) waiting?.reject(new Error(answer.error));
      else waiting?.resolve(answer.value);
      if (this.#waiting.size === 0) this.#worker.unref();
    });
    const ended = (error: Error) => {
      this.#ended = error;
      for (const waiting of this.#waiting.values()) waiting.reject(error);
      this.#waiting.clear();
    };
    this.#worker.on("error", ended);
    this.#worker.on("exit", (code) => ended(new Error(`the oneDNN engine's thread ended (code ${code})`)));
    this.#worker.unref();
  }

  async compile(program: Program): Promise<Executable> {
    const id = this.#nextProgram++;
    const plan = planOf(program, this.#precision);
    await this.#ask({ do: "load", program: id, plan });
    const checked = (inputs: Readonly<Record<string, TensorData>>) => {
      const given: Record<string, TensorData> = {};
      for (const [name, value] of program.inputs) {
        const data = inputs[name];
        if (data === undefined) throw new Error(`input ${name} is missing`);
        if (data.length !== size(value.shape) || data instanceof Int32Array !== (value.dtype === "i32")) {
          throw new Error(`input ${name} must be ${size(value.shape)} numbers of ${value.dtype}`);
        }
        given[name] = data;
      }
      return given;
    };
    return {
      program,
      run: async (inputs) => tensors(await this.#ask({ do: "run", program: id, inputs: checked(inputs) })),
      profile: async (inputs) => {
        const spent = await this.#ask({ do: "profile", program: id, inputs: checked(inputs) });
        const entries = typeof spent === "object" && spent !== null ? Object.entries(spent) : [];
        return Object.fromEntries(entries.map(([of, milliseconds]) => [of, Number(milliseconds)]));
      },
      release: async () => {
        await this.#ask({ do: "unload", program: id });
      },
    };
  }

  async write(name: string, shape: Shape, data: TensorData): Promise<void> {
    if (data.length !== size(shape)) {
      throw new Error(`state ${name} of shape [${shape}] needs ${size(shape)} numbers, not ${data.length}`);
    }
    const dtype = data instanceof Int32Array ? "i32" : "f32";
    await this.#ask({ do: "write", name, type: { dtype, shape: [...shape] }, data });
    this.#names.add(name);
  }

  async read(name: string): Promise<TensorData> {
    const data = await this.#ask({ do: "read", name });
    if (data instanceof Float32Array || data instanceof Int32Array) return data;
    throw new Error(`the engine holds no tensor ${name}`);
  }

  names(): readonly string[] {
    return [...this.#names];
  }

  async drop(names: Iterable<string>): Promise<void> {
    const list = [...names];
    await this.#ask({ do: "drop", names: list });
    for (const name of list) this.#names.delete(name);
  }

  async close(): Promise<void> {
    if (this.#ended !== undefined) return;
    await this.#ask({ do: "close" });
    await this.#worker.terminate();
  }

  #ask(request: Request): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const id = this.#nextRequest++;
    this.#worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, request });
    });
  }
}

function tensors(value: unknown): Record<string, TensorData> {
  const result: Record<string, TensorData> = {};
  if (typeof value !== "object" || value === null) throw new Error("the engine answered nothing");
  for (const [name, data] of Object.entries(value)) {
    if (data instanceof Float32Array || data instanceof Int32Array) result[name] = data;
  }
  return result;
}
