/** Where the engine's Python comes from, and how to get one. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../util/paths.ts";

/** The versions of JAX that it works with: from the first to below the second. */
const VERSIONS = [
  [0, 10],
  [0, 13],
] as const;
const [FROM, BELOW] = VERSIONS.map((version) => version.join("."));

export const INSTALL =
  `\`npm run setup:xla\` in the package's folder makes one (.venv), as \`pip install "jax>=${FROM},<${BELOW}"\` does in ` +
  "any Python; name that in engine.python or BERT2BERT_XLA_PYTHON";

/** @param version as JAX says it, "0.10.2" */
export function isKnown(version: string): boolean {
  const order = ([major, minor]: readonly number[]) => 1000 * major + minor;
  const given = order(version.split(".").map(Number));
  return given >= order(VERSIONS[0]) && given < order(VERSIONS[1]);
}

/**
 * What the settings say, what BERT2BERT_XLA_PYTHON says, the `.venv` of the working folder, that of the package (where
 * `npm run setup:xla` puts it), else `python3`.
 */
export function pythonOf(setting?: string): string {
  const windows = process.platform === "win32";
  const venvs = [process.cwd(), packageRoot()].map((folder) =>
    join(folder, ".venv", ...(windows ? ["Scripts", "python.exe"] : ["bin", "python"])),
  );
  const named = setting ?? process.env.BERT2BERT_XLA_PYTHON;
  return named ?? venvs.find((path) => existsSync(path)) ?? (windows ? "python" : "python3");
}
