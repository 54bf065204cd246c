/** The measured cells that advice rests on: docs/results/grid.json, which `npm run claims` makes from studies' study.json. */
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../util/errors.ts";
import { readJsonObject } from "../util/json.ts";
import { packageRoot } from "../util/paths.ts";

const size = z.strictObject({ layers: z.number(), hidden: z.number(), parameters: z.number() });
const saving = z.strictObject({ mean: z.number(), low: z.number().nullable(), high: z.number().nullable() }).nullable();

const cellSchema = z.strictObject({
  study: z.string(),
  method: z.string(),
  /** The method's words in its study; default: its name. */
  label: z.string().optional(),
  architecture: z.string(),
  objective: z.string(),
  dropout: z.number(),
  /** What the method begins with: the source, or the smaller network that grows in the run. */
  from: size,
  to: size,
  /** Of the run from scratch that it is held against. */
  tokens: z.number(),
  reuse: saving,
  allIn: saving,
  /** Equal annealed loss, or the crossing of an unfinished schedule. */
  measure: z.enum(["annealed", "crossing"]),
});

export type GridCell = z.infer<typeof cellSchema>;

const gridSchema = z.strictObject({ format: z.literal(1), cells: z.array(cellSchema) });

export const gridPath = join(packageRoot(), "docs", "results", "grid.json");

/** @throws UserError if it is damaged */
export async function readGrid(path = gridPath): Promise<readonly GridCell[]> {
  const read = gridSchema.safeParse(await readJsonObject(path));
  if (read.success) return read.data.cells;
  const { message, path: at } = read.error.issues[0];
  const what = `is no grid of measured savings (\`${at.join(".")}\`: ${message})`;
  throw new UserError(what, path, "install the package anew");
}
