/** The keys of `engine` in a settings file: those of every engine, and each engine's own. Loaded with such a file. */
import { z } from "zod";
import { xlaKeys } from "./xla/settings.ts";

/** By the kind of the engine, what it alone understands. */
const own: Readonly<Record<string, z.core.$ZodLooseShape>> = { xla: xlaKeys };

export const engineSchema = z
  .strictObject({
    kind: z.string().min(1).default("auto"),
    threads: z.union([z.literal("auto"), z.int().min(1).max(1024)]).default("auto"),
    precision: z.enum(["auto", "f32", "bf16"]).default("auto"),
    ...xlaKeys,
  })
  .superRefine((engine, context) => {
    for (const [kind, keys] of Object.entries(own)) {
      const key = Object.keys(engine).find((name) => name in keys);
      if (key === undefined || engine.kind === kind) continue;
      const params = { wayOut: `leave it out, or set engine.kind to ${kind}` };
      context.addIssue({ code: "custom", message: `only the engine ${kind} has \`${key}\``, params, path: [key] });
    }
  });
