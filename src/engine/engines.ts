/** The engines there are, best first. A new one is a file (or folder) beside this one and an entry in the list. */
import type { Program } from "../program/graph.ts";
import { suggestion, UserError } from "../util/errors.ts";
import type { Engine, EngineKind, EngineSettings, Layout, Share } from "./engine.ts";
import { onednnEngine } from "./onednn/engine.ts";
import { onnxEngine } from "./onnx/onnx.ts";
import { referenceEngine } from "./reference/reference.ts";
import { xlaEngine } from "./xla/engine.ts";

export const engineKinds: readonly EngineKind[] = [onednnEngine, onnxEngine, xlaEngine, referenceEngine];

/** A choice among the engines: the first that can run here, and why not those before it. */
export interface Choice {
  readonly engine: EngineKind;
  readonly passedOver: readonly { readonly kind: string; readonly reason: string; readonly wayOut: string }[];
}

/**
 * What `auto` stands for here.
 * @throws UserError if no engine can run
 */
export async function chooseEngine(kinds: readonly EngineKind[] = engineKinds): Promise<Choice> {
  const passedOver: { kind: string; reason: string; wayOut: string }[] = [];
  for (const engine of kinds.filter(({ byNameOnly }) => byNameOnly !== true)) {
    const found = await engine.probe();
    if (found.usable) return { engine, passedOver };
    passedOver.push({ kind: engine.kind, reason: found.reason, wayOut: found.wayOut });
  }
  throw new UserError("no engine can run here", "engine.kind", "`bert2bert doctor` says what is missing");
}

/** An engine as settings choose it. */
type Chosen = EngineSettings & { readonly kind: string };

/** The engine of a name; undefined for `auto`. @throws UserError if there is none */
function named(kind: string): EngineKind | undefined {
  const known = ["auto", ...engineKinds.map((engine) => engine.kind)];
  if (known.includes(kind)) return engineKinds.find((engine) => engine.kind === kind);
  throw new UserError(`there is no engine \`${kind}\``, "engine.kind", suggestion(kind, known));
}

/** Whether what a run takes is held against this machine's memory. @throws UserError if there is no such engine */
export function runsInMemory({ kind }: Chosen): boolean {
  return named(kind)?.checksMemory !== true;
}

/** What each device has of a program, where the engine takes several. @throws UserError if there is no such engine */
export function shareOf(engine: Chosen, program: () => Program, layout: Layout): Share | undefined {
  return named(engine.kind)?.share?.(engine, program, layout);
}

/** Why an engine can't run here, by itself; undefined if it can. @throws UserError if there is no such engine */
export async function absence({ kind, options }: Chosen): Promise<string | undefined> {
  const engine = named(kind);
  if (engine?.waits?.(options)) return "it takes several processes, and this is one";
  const found = await engine?.probe();
  return found === undefined || found.usable ? undefined : `the engine ${kind} can't run here (${found.reason})`;
}

/** What has been said of engines that can't run here: once a process is enough. */
const said = new Set<string>();

/**
 * Opens an engine; `auto` is the first one that can run here.
 * @param note told which engine it is and, where `auto` passed over a better one, why and how to get that
 * @throws UserError if there is no engine of that kind, or it can't do what the settings ask
 */
export async function openEngine(settings: Chosen, note: (text: string) => void = () => {}): Promise<Engine> {
  const { kind, threads } = settings;
  const meant = named(kind);
  if (!Number.isInteger(threads) || threads < 1) {
    throw new UserError(`can't run on ${threads} threads`, "engine.threads", "give a whole number, at least 1");
  }
  const choice = meant === undefined ? await chooseEngine() : { engine: meant, passedOver: [] };
  const opened = await choice.engine.open(settings);
  note(`engine: ${opened.description}`);
  for (const better of choice.passedOver) {
    if (said.has(better.kind)) continue;
    said.add(better.kind);
    note(`the engine ${better.kind}, which is faster, can't run here (${better.reason}): ${better.wayOut}`);
  }
  return opened;
}
