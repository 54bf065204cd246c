/** What the XLA engine may be told in a settings file, and where its Python comes from. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { packageRoot } from "../../util/paths.ts";

export const xlaKeys = {
  /** A Python that has JAX: a command, or a path. */
  python: z.string().min(1).optional(),
  device: z.enum(["auto", "cpu", "gpu", "tpu"]).optional(),
};
const schema = z.object(xlaKeys);

export type XlaSettings = z.infer<typeof schema>;

/** @throws ZodError if a settings file's schema was not asked before */
export const xlaSettings = (options: unknown): XlaSettings => schema.parse(options ?? {});

/**
 * Which Python: what the settings say, what BERT2BERT_XLA_PYTHON says, the `.venv` of the working folder, that of the
 * package (where `npm run setup:xla` puts it), else `python3`.
 */
export function pythonOf({ python }: XlaSettings): string {
  const windows = process.platform === "win32";
  const venvs = [process.cwd(), packageRoot()].map((folder) =>
    join(folder, ".venv", ...(windows ? ["Scripts", "python.exe"] : ["bin", "python"])),
  );
  const named = python ?? process.env.BERT2BERT_XLA_PYTHON;
  return named ?? venvs.find((path) => existsSync(path)) ?? (windows ? "python" : "python3");
}
