/**
 * The XLA engine: programs become StableHLO text (lower.ts), which a Python process beside this one compiles and runs
 * through JAX on whatever devices that has (host.py). This side checks what it is given, since XLA does not.
 */
import { fileURLToPath } from "node:url";
import { type Program, size, type Type } from "../../program/graph.ts";
import { UserError } from "../../util/errors.ts";
import { type Device, DeviceEngine, type Tensors } from "../device.ts";
import type { Engine, EngineKind, EngineSettings, Layout, Processes, Snapshot, TensorData } from "../engine.ts";
import { attentions, basics, selfTest } from "../selftest.ts";
import { CARRY_ON, Channel, type ChannelOptions, type Head, HostRefused, peerLost } from "./channel.ts";
import type { Precision } from "./lower/lowering.ts";
import { type Leaf, lower } from "./lower.ts";
import { devicesOf, type Mesh, type Split, shareOf, splitOfInput, splitOfState } from "./mesh.ts";
import { INSTALL, isKnown, pythonOf } from "./python.ts";
import type { XlaSettings } from "./settings.ts";

const NAME = "XLA";

export const xlaEngine: EngineKind = {
  kind: "xla",
  byNameOnly: true,
  checksMemory: true,
  share: ({ precision, options }, program, layout) => {
    const mesh: Mesh = Object(options?.mesh);
    const devices = devicesOf(mesh);
    const halves = precision === "bf16" || (precision === "auto" && options?.device !== "cpu");
    return devices === 1 ? undefined : { devices, ...shareOf(program(), mesh, layout, halves) };
  },
  waits: (options) => options?.hosts !== undefined,
  async probe() {
    try {
      const engine = await open({ threads: 1, precision: "auto" });
      const { description } = engine;
      await engine.close();
      return { usable: true, description };
    } catch (error) {
      if (error instanceof UserError) {
        return { usable: false, reason: `${error.where}: ${error.what}`, wayOut: error.wayOut };
      }
      return { usable: false, reason: error instanceof Error ? error.message : String(error), wayOut: INSTALL };
    }
  },
  open,
};

/** @throws UserError if there is no such Python, JAX or device, or it computes something else */
export async function open(settings: EngineSettings, options: ChannelOptions = {}): Promise<Engine> {
  const { xlaSettings } = await import("./settings.ts");
  const own = xlaSettings(settings.options);
  const python = pythonOf(own.python);
  const threads = String(settings.threads);
  // By these XLA's CPU device counts its threads.
  const env = { PJRT_NPROC: threads, NPROC: threads, ...options.env };
  const script = fileURLToPath(new URL("./host.py", import.meta.url));
  const channel = new Channel(python, ["-u", script], { ...options, env });
  try {
    const version = await jaxOf(channel, python);
    const mesh = { data: 1, ...own.mesh };
    const processes = own.hosts === undefined ? undefined : await join(channel, own.hosts);
    const { platform, device } = await devicesFor(channel, own.device ?? "auto", mesh, processes?.count ?? 1);
    const before =
      settings.before?.startsWith(NAME) === true
        ? / (f32|bf16)(?:, fused attention)?$/.exec(settings.before)?.[1]
        : undefined;
    const auto = before ?? (platform === "cpu" ? "f32" : "bf16");
    const halves = (settings.precision === "auto" ? auto : settings.precision) === "bf16";
    const where = platform === "cpu" ? `CPU, ${threads} ${threads === "1" ? "thread" : "threads"}` : String(device);
    const axes = Object.entries(mesh).map(([axis, ways]) => `${axis} ${ways}`);
    const among = processes === undefined ? "" : ` in ${processes.count} processes`;
    const ways = devicesOf(mesh) === 1 ? "" : ` in a mesh of ${axes.join(", ")}${among}`;
    const description = `${NAME} (JAX ${version}), ${where}${ways}, ${halves ? "bf16" : "f32"}`;
    const computing = (description: string, precision: Precision) => {
      const device = new XlaDevice(channel, precision, mesh, own.ahead ?? 2, processes);
      return new DeviceEngine("xla", description, device, (program) => program);
    };
    const engine = computing(description, { halves });
    const wrong = await refused(selfTest(engine, halves ? 0.02 : 2e-6, [basics]));
    if (wrong !== undefined) {
      throw new UserError(`${description} fails the self-test: ${wrong}`, python, "take another JAX or another engine");
    }
    if ((own.attention ?? "auto") === "plain") return engine;
    const fused = computing(`${description}, fused attention`, { halves, fused: true });
    const why =
      platform === "gpu" && halves
        ? await refused(selfTest(fused, 0.02, attentions))
        : "it takes an NVIDIA GPU and bf16";
    if (why === undefined) return fused;
    if (own.attention !== "fused") return engine;
    throw new UserError(
      `attention can't be fused here: ${why}`,
      "engine.attention",
      "leave it out, or set it to plain",
    );
  } catch (error) {
    await channel.close();
    throw error;
  }
}

/** What a test finds wrong, a host that can't do it at all included. */
function refused(test: Promise<string | undefined>): Promise<string | undefined> {
  return test.catch((error: unknown) => {
    if (error instanceof HostRefused) return error.message;
    throw error;
  });
}

/** The version of its JAX. @throws UserError if it has none that will do */
async function jaxOf(channel: Channel, python: string): Promise<string> {
  let version: string;
  try {
    version = String((await channel.ask({ ask: "start" })).head.version);
  } catch (error) {
    if (!(error instanceof HostRefused)) throw error;
    throw new UserError(`it has no JAX that can be loaded (${error.message})`, python, INSTALL);
  }
  if (isKnown(version)) return version;
  throw new UserError(`it has JAX ${version}, which is not one of those it works with`, python, INSTALL);
}

/** Seconds in which all processes must have come. */
const MEETING = 300;

/** @throws UserError if it is not found who the others are, or they don't come */
async function join(channel: Channel, hosts: NonNullable<XlaSettings["hosts"]>): Promise<Processes> {
  const given = { ...(hosts === "auto" ? {} : hosts), patience: MEETING };
  try {
    const { head } = await channel.ask({ ask: "join", hosts: given });
    const agree = async (values: readonly number[]) => {
      const { body } = await channel.ask({ ask: "agree", values }).catch((error: unknown) => {
        throw ofPeers(error);
      });
      return Array.from(values, (_, i) => body.readInt32LE(4 * i));
    };
    return { count: Number(head.processes), index: Number(head.process), agree };
  } catch (error) {
    if (!(error instanceof HostRefused)) throw error;
    const what = `the processes of the run did not find each other (${error.message})`;
    const wayOut = "give `hosts: { coordinator: HOST:PORT, processes: N, process: I }`, the same address to all";
    throw new UserError(what, "engine.hosts", wayOut);
  }
}

/** What a failure of what only all together can do is about, where they can't reach each other. */
function ofPeers(error: unknown): unknown {
  const apart = /gloo|nccl|connect|unavailable|deadline|coordination|heartbeat/i;
  return error instanceof HostRefused && apart.test(error.message) ? peerLost(error.message) : error;
}

/** What the mesh is made of. @throws UserError if there is no such device, or there are not so many */
async function devicesFor(channel: Channel, device: string, mesh: Mesh, processes: number): Promise<Head> {
  try {
    const { head } = await channel.ask({ ask: "devices", device, mesh, processes });
    const [want, have] = [devicesOf(mesh), Number(head.devices)];
    // Of several processes none can stand by.
    if (want === have || (want < have && processes === 1)) return head;
    const there = have === 1 ? "is 1" : `are ${have}${processes === 1 ? "" : ` in ${processes} processes`}`;
    const what = `the mesh takes ${want} ${want === 1 ? "device" : "devices"}, and there ${there}`;
    throw new UserError(what, "engine.mesh", want > have ? "make it smaller" : "make it of all of them");
  } catch (error) {
    if (!(error instanceof HostRefused)) throw error;
    const wayOut = "choose another engine.device, or install JAX for that one (`npm run setup:xla -- --cuda`)";
    throw new UserError(`JAX finds no device there (${error.message})`, `engine.device ${device}`, wayOut);
  }
}

class XlaDevice implements Device<Program> {
  readonly ahead: number;
  readonly processes?: Processes;
  readonly #channel: Channel;
  readonly #precision: Precision;
  readonly #mesh: Mesh;
  readonly #outputs = new Map<number, readonly Leaf[]>();
  /** What a program needs, in words. */
  readonly #needs = new Map<number, string>();
  #layout: Layout = new Map();
  #snapshots = 0;

  constructor(channel: Channel, precision: Precision, mesh: Mesh, ahead: number, processes: Processes | undefined) {
    this.#channel = channel;
    this.ahead = ahead;
    this.#precision = precision;
    this.#mesh = mesh;
    this.processes = processes;
  }

  layout(layout: Layout): void {
    this.#layout = layout;
  }

  async load(number: number, program: Program) {
    const { text, states, inputs, updates, outputs, rows } = lower(program, this.#precision, this.#mesh, this.#layout);
    const donated = updates.map((name) => states.findIndex((state) => state.name === name));
    const kept = states.map((leaf) => ({ ...leaf, state: true, split: this.#splitOf(leaf.name, leaf) }));
    const given = inputs.map((leaf) => {
      return { ...leaf, state: false, split: splitOfInput(this.#mesh, program, leaf.name, leaf.shape) };
    });
    const results = [...donated.map((i) => kept[i]), ...outputs.map((leaf) => ({ ...leaf, split: [] }))];
    const request = { ask: "load", program: number, arguments: [...kept, ...given], results, updates, donated };
    const { head } = await this.#asked(request, [Buffer.from(text)]);
    const memory = memoryNeed(head);
    if (memory.short) throw outOfMemory(memory.text);
    this.#outputs.set(number, outputs);
    this.#needs.set(number, memory.text);
    const check = (numbers: Tensors) => {
      for (const [name, { count, groups }] of rows) checkRows(name, numbers[name], count, groups);
    };
    return { memory, check };
  }

  async run(program: number, inputs: Tensors): Promise<Record<string, TensorData>> {
    const { body } = await this.#asked({ ask: "run", program }, Object.values(inputs), this.#needs.get(program));
    return cut(body, this.#outputs.get(program) ?? []);
  }

  async unload(program: number): Promise<void> {
    await this.#asked({ ask: "release", program });
  }

  async write(name: string, { dtype, shape }: Type, data: TensorData): Promise<void> {
    await this.#asked({ ask: "write", name, dtype, shape, split: this.#splitOf(name, { shape }) }, [data]);
  }

  async read(name: string, type: Type): Promise<TensorData> {
    const { body } = await this.#asked({ ask: "read", name });
    return cut(body, [{ name, ...type }])[name];
  }

  async snapshot(states: ReadonlyMap<string, Type>): Promise<Snapshot> {
    const snapshot = this.#snapshots++;
    await this.#asked({ ask: "snapshot", snapshot, names: [...states.keys()] });
    return {
      read: async (name) => {
        const type = states.get(name);
        if (type === undefined) throw new Error(`the snapshot holds no tensor ${name}`);
        const { body } = await this.#asked({ ask: "taken", snapshot, name });
        return cut(body, [{ name, ...type }])[name];
      },
      release: async () => {
        await this.#asked({ ask: "forget", snapshot });
      },
    };
  }

  async drop(names: readonly string[]): Promise<void> {
    await this.#asked({ ask: "drop", names });
  }

  async close(): Promise<void> {
    if (this.processes !== undefined) await this.#channel.ask({ ask: "leave" }).catch(() => {});
    await this.#channel.close();
  }

  #splitOf(name: string, { shape }: Pick<Type, "shape">): Split {
    return splitOfState(this.#mesh, shape, this.#layout.get(name));
  }

  /** @param need what is said where there was no memory left */
  async #asked(head: Head, bodies: readonly (TensorData | Buffer)[] = [], need?: string) {
    try {
      return await this.#channel.ask(head, bodies);
    } catch (error) {
      if (error instanceof HostRefused && error.kind === "memory") throw outOfMemory(need ?? error.message);
      throw this.processes === undefined ? error : ofPeers(error);
    }
  }
}

/** What an input numbers: so many rows, in so many groups side by side as its numbers are. */
function checkRows(name: string, data: TensorData, count: number, groups: number): void {
  const [each, part] = [data.length / groups, count / groups];
  const outside = data.find((id, i) => Math.floor(id / part) !== Math.floor(i / each));
  if (outside === undefined) return;
  const where = outside < 0 || outside >= count ? `a table of ${count} rows` : `its group's ${part} rows`;
  throw new Error(`${name}: id ${outside} is outside ${where}`);
}

/** The tensors that an answer holds, one after the other. */
function cut(body: Buffer, leaves: readonly Leaf[]): Record<string, TensorData> {
  let at = body.byteOffset;
  return Object.fromEntries(
    leaves.map(({ name, dtype, shape }) => {
      const own = body.buffer.slice(at, at + 4 * size(shape));
      at += own.byteLength;
      return [name, dtype === "i32" ? new Int32Array(own) : new Float32Array(own)];
    }),
  );
}

/** What a compiled program takes of the device, and whether that is more than there is. */
function memoryNeed(head: Head): {
  readonly kept: number;
  readonly working: number;
  readonly text: string;
  readonly short: boolean;
} {
  const [kept, working, room] = [head.held, head.working, head.limit].map(Number);
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  const fits = room > kept ? `; about ${Math.floor((100 * (room - kept)) / working)} % of this batch would fit` : "";
  const there = room > 0 ? ` of ${gigabytes(room)}${fits}` : "";
  const text = `a step needs ${gigabytes(kept)} for what it keeps and ${gigabytes(working)} for what it computes${there}`;
  return { kept, working, text, short: room > 0 && kept + working > room };
}

function outOfMemory(text: string): UserError {
  const wayOut = "lower batch.sequences and raise batch.accumulate as much, or choose a smaller model";
  return new UserError(`the device is out of memory: ${text}`, "engine xla", `${wayOut}; ${CARRY_ON}`);
}
