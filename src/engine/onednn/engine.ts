/**
 * The oneDNN engine: programs become static plans (planner.ts), run by a worker thread on oneDNN's primitives and our
 * own WebAssembly kernels. oneDNN is the library beneath PyTorch's CPU path; whoever has it installed gets the faster
 * engine, whoever has not gets the embedded one.
 */
import { expand } from "../../program/expand.ts";
import type { Program } from "../../program/graph.ts";
import { UserError } from "../../util/errors.ts";
import { workerUrl } from "../../util/worker.ts";
import { DeviceEngine, type Tensors } from "../device.ts";
import type { Engine, EngineKind, EngineSettings } from "../engine.ts";
import { WorkerDevice } from "../worker.ts";
import { type Library, LibraryUnusable, loadLibrary } from "./library.ts";
import { lowerings } from "./lowerings.ts";
import { Planner } from "./planner.ts";
import { halvesPay, halvesWork, selfTest } from "./selftest.ts";
import type { Plan } from "./steps.ts";

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
    const [precision, { threads }] = [halves ? "bf16" : "f32", settings] as const;
    const device = new OneDnnDevice(workerUrl(import.meta.url, "./worker.ts"), { threads });
    const description = `${found.description}, ${precision}, ${threads} threads`;
    return new DeviceEngine("onednn", description, device, (program) => planOf(program, precision));
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

/** As every worker's device, with a profile. */
class OneDnnDevice extends WorkerDevice<Plan> {
  profile(program: number, inputs: Tensors): Promise<Readonly<Record<string, number>>> {
    return this.ask("profile", program, inputs);
  }
}
