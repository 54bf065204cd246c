/**
 * The oneDNN engine: programs become static plans (planner.ts), run by a worker thread on oneDNN's primitives and our
 * own WebAssembly kernels. oneDNN is the library beneath PyTorch's CPU path; whoever has it installed gets the faster
 * engine, whoever has not gets the embedded one.
 */
import { ProgramBuilder } from "../../program/builder.ts";
import { expand } from "../../program/expand.ts";
import type { Program } from "../../program/graph.ts";
import * as ops from "../../program/ops/index.ts";
import { UserError } from "../../util/errors.ts";
import { workerUrl } from "../../util/worker.ts";
import { DeviceEngine, type Tensors } from "../device.ts";
import type { Engine, EngineKind, EngineSettings } from "../engine.ts";
import { basics, functions, selfTest } from "../selftest.ts";
import { workerDevice } from "../worker.ts";
import { LibraryUnusable, loadLibrary } from "./library.ts";
import { lowerings } from "./lowerings.ts";
import { Planner } from "./planner.ts";
import { Unimplemented } from "./primitives.ts";
import { Runtime } from "./runtime.ts";
import type { Plan } from "./steps.ts";

const WAY_OUT =
  "install oneDNN 2.6 or later (Debian, Ubuntu: libdnnl2 or libdnnl3; Fedora, Homebrew: onednn; conda: onednn), or name its file in BERT2BERT_ONEDNN";

const NAME = "oneDNN";

export const onednnEngine: EngineKind = {
  kind: "onednn",
  async probe() {
    try {
      const { version, path } = loadLibrary();
      const wrong = await wrongHere().catch((error: unknown) => (error instanceof Error ? error.message : `${error}`));
      if (wrong !== undefined) throw new LibraryUnusable(`${path}: ${wrong}`);
      return { usable: true, description: `${NAME} ${version.major}.${version.minor}.${version.patch} (${path})` };
    } catch (error) {
      if (!(error instanceof LibraryUnusable)) throw error;
      return { usable: false, reason: error.message, wayOut: WAY_OUT };
    }
  },
  async open(settings: EngineSettings): Promise<Engine> {
    const found = await onednnEngine.probe();
    if (!found.usable) throw new UserError(found.reason, "engine.kind onednn", found.wayOut);
    const { precision: wanted, before } = settings;
    const halves = wanted === "auto" ? await pays(before) : wanted === "bf16";
    if (wanted === "bf16" && !(await halvesWork())) {
      throw new UserError("oneDNN has no bf16 products here", "engine.precision", "set it to f32 or auto");
    }
    const [precision, { threads }] = [halves ? "bf16" : "f32", settings] as const;
    const device = workerDevice<Plan>(workerUrl(import.meta.url, "./worker.ts"), { threads });
    const profile = (program: number, inputs: Tensors) =>
      device.ask<Readonly<Record<string, number>>>("profile", program, inputs);
    const description = `${found.description}, ${precision}, ${threads} threads`;
    return new DeviceEngine("onednn", description, { ...device, profile }, (program) => planOf(program, precision));
  },
};

/** Whether `auto` is bf16: as it was before, where that is known and can be; else as a race says. */
async function pays(before: string | undefined): Promise<boolean> {
  const known = before?.startsWith(NAME) === true ? / (f32|bf16), \d+ threads$/.exec(before)?.[1] : undefined;
  return known === "f32" ? false : (await halvesWork()) && (known === "bf16" || (await halvesWin()));
}

/** In this thread: for the numbers of a test. */
function here(precision: "f32" | "bf16"): DeviceEngine<Plan> {
  return new DeviceEngine(NAME, NAME, new Runtime(loadLibrary(), 1), (program) => planOf(program, precision));
}

/** What the library gets wrong. */
const wrongHere = async () => selfTest(here("f32"), 1e-5, [basics, functions]);

/** Whether products of bf16 numbers with an f32 result are there, and right. */
async function halvesWork(): Promise<boolean> {
  try {
    return (await selfTest(here("bf16"), 0.02, [basics])) === undefined;
  } catch (error) {
    if (error instanceof Unimplemented) return false;
    throw error;
  }
}

/** The extent of the products that are timed: large enough to fill a core's units, some milliseconds in all. */
const TIMED = 384;
/** Turns of the clock's race; the quickest of each counts. */
const RACES = 5;

/**
 * Whether products of bf16 numbers are quicker here than those of f32. The processor's flags do not tell: with AMX they
 * are many times quicker, with AVX512-BF16 alone twice as quick on AMD's and slower on Intel's.
 */
async function halvesWin(): Promise<boolean> {
  const shape = [TIMED, TIMED];
  const b = new ProgramBuilder();
  const [x, y] = ["x", "y"].map((name) => b.state(name, shape));
  b.update("x", ops.matmul(b, x, y));
  const engines = [here("f32"), here("bf16")];
  for (const engine of engines) {
    for (const name of ["x", "y"]) await engine.write(name, shape, new Float32Array(TIMED ** 2).fill(1 / TIMED));
  }
  const products = await Promise.all(engines.map((engine) => engine.compile(b.build())));
  const best = products.map(() => Number.POSITIVE_INFINITY);
  for (let race = 0; race <= RACES; race++) {
    for (const [i, product] of products.entries()) {
      const start = performance.now();
      await product.run({});
      // The first one loads code and memory.
      if (race > 0) best[i] = Math.min(best[i], performance.now() - start);
    }
  }
  return best[1] < best[0];
}

/** A program's plan for this engine: plain data, the same on every machine. */
export function planOf(program: Program, precision: "f32" | "bf16" = "f32"): Plan {
  return new Planner(
    expand(program, (op) => lowerings.has(op.name)),
    precision,
  ).plan();
}
