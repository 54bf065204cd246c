/** A plan in words and numbers, for `--dry-run` and for programs. Nothing is read and nothing is written. */
import { type FloatDType, widthOf } from "../checkpoint/dtype.ts";
import { elements, parameterCount, shapeOf } from "../model/table.ts";
import type { Json } from "../util/json.ts";
import { sourceParameter } from "./growth.ts";
import { type GrowthPlan, type PlannedParameter, roundedIn } from "./plan.ts";

export type DescribedGroup = ReturnType<typeof describeGroups>[number];

/** Parameters that become the same thing in the same way, whatever their layer. */
export function describeGroups(plan: GrowthPlan) {
  const groups = new Map<string, PlannedParameter[]>();
  for (const planned of plan.parameters) {
    const key = `${planned.parameter.kind}\n${planned.weight.words}`;
    groups.set(key, [...(groups.get(key) ?? []), planned]);
  }
  return [...groups.values()].map((group) => {
    const [{ parameter, shape, weight, added }] = group;
    return {
      /** The name; of several, the name within a layer and the layers. */
      name: group.length > 1 ? `${parameter.kind}, layers ${ranges(group)}` : parameter.name,
      /** How many parameters they are. */
      count: group.length,
      /** The source's shape; of what it has not, []. */
      from: added ? [] : shapeOf(sourceParameter(plan.growth, parameter, originOf(plan, parameter.layer))),
      to: shape,
      words: weight.words,
      /** Numbers in all of them. */
      parameters: group.length * elements(parameter),
    };
  });
}

/** "0–3, 5". */
function ranges(group: readonly PlannedParameter[]): string {
  const layers = group.map(({ parameter }) => parameter.layer ?? 0);
  const starts = layers.filter((layer) => !layers.includes(layer - 1));
  const ends = layers.filter((layer) => !layers.includes(layer + 1));
  return starts.map((start, i) => (start === ends[i] ? start : `${start}–${ends[i]}`)).join(", ");
}

function originOf(plan: GrowthPlan, layer: number | null): number | null {
  return layer === null ? null : plan.layers[layer].from;
}

/** The whole plan as one JSON value. @param dtype of the weights to be written */
export function describeJson(plan: GrowthPlan, dtype: FloatDType): Json {
  const { source, target, options } = plan.growth;
  return {
    method: plan.method.name,
    options,
    map: plan.mapKind,
    depth: plan.depth.name,
    moments: plan.momentMode,
    seed: plan.growth.seed,
    promise: { ...plan.promise, ...(dtype === "F32" ? {} : { rounded: roundedIn(plan, dtype) }) },
    source: { ...source.dimensions, parameters: parameterCount(source.parameters) },
    target: {
      ...target.dimensions,
      parameters: parameterCount(target.parameters),
      bytes: widthOf(dtype) * parameterCount(target.parameters),
    },
    dtype,
    layers: plan.layers.map((layer) => layer.from),
    tensors: plan.parameters.map(({ parameter, shape, weight }) => ({
      name: parameter.name,
      shape,
      from: weight.reads,
      becomes: weight.words,
      bytes: widthOf(dtype) * elements(parameter),
    })),
  };
}
