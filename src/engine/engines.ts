/** The engines there are, best first. A new one is a file (or folder) beside this one and an entry in the list. */
import { suggestion, UserError } from "../util/errors.ts";
import type { Engine, EngineKind, EngineSettings } from "./engine.ts";
import { onednnEngine } from "./onednn/engine.ts";
import { onnxEngine } from "./onnx/onnx.ts";
import { referenceEngine } from "./reference/reference.ts";

export const engineKinds: readonly EngineKind[] = [onnxEngine, referenceEngine];

/** Taken only when named: they need a library of the system, and are young. */
export const optionalKinds: readonly EngineKind[] = [onednnEngine];

const allKinds = [...optionalKinds, ...engineKinds];

/**
 * Opens an engine; `auto` is the first one that can run here.
 * @throws UserError if there is no engine of that kind, or it can't do what the settings ask
 */
export async function openEngine(settings: EngineSettings & { readonly kind: string }): Promise<Engine> {
  const { kind, threads } = settings;
  const known = ["auto", ...allKinds.map((engine) => engine.kind)];
  if (!known.includes(kind)) {
    throw new UserError(`there is no engine \`${kind}\``, "engine.kind", suggestion(kind, known));
  }
  if (!Number.isInteger(threads) || threads < 1) {
    throw new UserError(`can't run on ${threads} threads`, "engine.threads", "give a whole number, at least 1");
  }
  const named = allKinds.find((engine) => engine.kind === kind);
  if (named !== undefined) return named.open(settings);
  for (const engine of engineKinds) {
    if ((await engine.probe()).usable) return engine.open(settings);
  }
  throw new UserError("no engine can run here", "engine.kind", "`bert2bert doctor` says what is missing");
}
