/**
 * Growth before a stage, by the same plans and streams as `bert2bert grow`: what the engine holds is written as a
 * checkpoint, grown, and read back. So whatever grows a model folder can grow a model between two stages.
 */
import { join } from "node:path";
import { growthFile } from "../checkpoint/folder.ts";
import { applyGrowth } from "../growth/apply.ts";
import { depthRuleOf } from "../growth/depth.ts";
import type { LayerOrigin } from "../growth/growth.ts";
import { checkLearned, type GrowthPlan, planGrowth, resizedModel } from "../growth/plan.ts";
import { parseRecord } from "../growth/record.ts";
import type { Model } from "../model/architecture.ts";
import { openModel } from "../model/load.ts";
import { removeWhole } from "../store/files.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { type Json, readJsonObject } from "../util/json.ts";
import type { Stage, StageGrowth } from "./plan/stage.ts";

/** What a growth will do; free. @throws UserError if it can't be done to this model */
export function stageGrowthPlan(model: Model, growth: StageGrowth, seed: number): GrowthPlan {
  const { layers, hidden, heads, ffn, method, options, map, depth, moments } = growth;
  const target = resizedModel(model, { layers, hidden, heads, kvHeads: growth["kv-heads"], ffn });
  const plan = planGrowth(model, target, { method, options, map, depth, moments, seed });
  checkLearned(plan);
  return plan;
}

/**
 * The model that each stage runs on, and the stage with the blocks that it trains where they are those of a growth.
 * @param model of the step `from`, before the growth of a stage that starts there
 * @param from stages that start before it have grown already
 * @param record of the growth that the model comes from
 * @throws UserError if a growth can't be done, or a stage trains new blocks and there are none
 */
export function stageModels(
  model: Model,
  stages: readonly Stage[],
  seed: number,
  from: number,
  record?: Json,
): readonly { readonly model: Model; readonly stage: Stage }[] {
  let now = model;
  let blocks: readonly number[] | undefined;
  return stages.map((stage) => {
    if (stage.grow !== undefined && stage.start >= from) {
      const { growth, layers } = stageGrowthPlan(now, stage.grow, seed);
      now = growth.target;
      blocks = freshOf(layers);
    }
    if (stage.train !== "new") return { model: now, stage };
    blocks ??= record === undefined ? [] : recordedBlocks(record, now.dimensions.layers);
    if (blocks.length === 0 && stage.end <= from) return { model: now, stage };
    if (blocks.length === 0) {
      const what = `stage ${stage.name} trains the new blocks, and there are none: the last growth added no layer`;
      const wayOut = "give the stage a `grow` with more layers, or start from a model that grew deeper";
      throw new UserError(what, "plan", wayOut);
    }
    const { layers } = now.dimensions;
    return { model: now, stage: { ...stage, models: [{ layers, train: blocks.length, blocks }] } };
  });
}

function freshOf(layers: readonly LayerOrigin[]): readonly number[] {
  return layers.flatMap(({ fresh }, layer) => (fresh ? [layer] : []));
}

/** The blocks that a growth added to make so many. */
function recordedBlocks(record: Json, layers: number): readonly number[] {
  const { sourceSizes, choices } = parseRecord(record, growthFile);
  if (layers <= sourceSizes.layers || typeof choices.depth !== "string") return [];
  return freshOf(depthRuleOf(choices.depth).layers(sourceSizes.layers, layers));
}

/** Where in a run folder the two checkpoints of a growth stand while it is done. */
export const growthPlace = ".growth";

/**
 * Grows what a run holds.
 * @param folder for the two checkpoints of before and after
 * @param write writes what the engine holds as a checkpoint into a folder
 * @param load puts a model into the engine, its moments from the folder where it has some
 * @returns the growth's record
 */
export async function growStage(
  folder: string,
  growth: StageGrowth,
  seed: number,
  write: (folder: string) => Promise<void>,
  load: (folder: string, moments: boolean) => Promise<void>,
): Promise<Json> {
  await removeWhole(folder);
  await using keep = keeping();
  keep({ close: () => removeWhole(folder) });
  const before = join(folder, "before");
  const after = join(folder, "after");
  await write(before);
  const source = keep(await openModel(before, { compareCopies: false }));
  const applied = await applyGrowth(stageGrowthPlan(source.model, growth, seed), source, after, { dtype: "F32" });
  await load(after, applied.moments);
  return await readJsonObject(join(after, growthFile));
}
