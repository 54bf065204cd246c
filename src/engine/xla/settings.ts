/** What the XLA engine may be told in a settings file. Loaded with such a file, or when the engine is opened. */
import { z } from "zod";

export const xlaKeys = {
  /** A Python that has JAX: a command, or a path. */
  python: z.string().min(1).optional(),
  /** How many runs are under way at once: while a device computes one, the next is on its way to it. */
  ahead: z.int().min(1).max(16).optional(),
  /** Devices by what is split among them: `data`, the batch; `fsdp`, the batch and what is kept between runs. */
  mesh: z.strictObject({ data: z.int().min(1).optional(), fsdp: z.int().min(1).optional() }).optional(),
  /** By cuDNN where it can (`fused`), or as all other operations are; `auto`: fused where the device's passes its test. */
  attention: z.enum(["auto", "plain", "fused"]).optional(),
  /** The processes among which the mesh's devices are: found from the cluster, or given; each gives its own number. */
  hosts: z
    .union([
      z.literal("auto"),
      z
        .strictObject({
          coordinator: z
            .string()
            .regex(/^[^\s:]+:\d+$|^\[[\da-f:.]+\]:\d+$/i, "give the address of process 0, as host:port"),
          processes: z.int().min(1),
          process: z.int().min(0),
        })
        .refine(({ process, processes }) => process < processes, "processes are numbered from 0"),
    ])
    .optional(),
  device: z.enum(["auto", "cpu", "gpu", "tpu"]).optional(),
};
const schema = z.object(xlaKeys);

export type XlaSettings = z.infer<typeof schema>;

/** @throws ZodError only where no settings file was checked before */
export const xlaSettings = (options: unknown): XlaSettings => schema.parse(options ?? {});
