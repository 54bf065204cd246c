/** What the XLA engine may be told in a settings file. Loaded with such a file, or when the engine is opened. */
import { z } from "zod";

export const xlaKeys = {
  /** A Python that has JAX: a command, or a path. */
  python: z.string().min(1).optional(),
  device: z.enum(["auto", "cpu", "gpu", "tpu"]).optional(),
};
const schema = z.object(xlaKeys);

/** @throws ZodError only where no settings file was checked before */
export const xlaSettings = (options: unknown): z.infer<typeof schema> => schema.parse(options ?? {});
