/** The engines there are. A new one is a file (or folder) beside this one and an entry in the list. */
import { suggestion, UserError } from "../util/errors.ts";
import type { Engine, EngineKind, EngineSettings } from "./engine.ts";
import { onnxEngine } from "./onnx/onnx.ts";
import { referenceEngine } from "./reference/reference.ts";

export const engineKinds: readonly EngineKind[] = [onnxEngine, referenceEngine];

/** @throws UserError if there is no engine of that kind, or it can't do what the settings ask */
export async function openEngine(settings: EngineSettings & { readonly kind: string }): Promise<Engine> {
  const { kind, threads } = settings;
  const found = engineKinds.find((engine) => engine.kind === kind);
  if (found === undefined) {
    throw new UserError(
      `there is no engine \`${kind}\``,
      "engine.kind",
      suggestion(
        kind,
        engineKinds.map((engine) => engine.kind),
      ),
    );
  }
  if (!Number.isInteger(threads) || threads < 1) {
    throw new UserError(`can't run on ${threads} threads`, "engine.threads", "give a whole number, at least 1");
  }
  return found.open(settings);
}
