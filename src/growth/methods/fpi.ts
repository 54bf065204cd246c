/**
 * FPI, function-preserving initialisation: units are copied, and what reads them is shared among the copies.
 *
 * Chen et al., "bert2BERT: Towards Reusable Pretrained Language Models" (ACL 2022), section 3.3; the idea is Net2Net's
 * (Chen et al., ICLR 2016). Exact wherever no LayerNorm sees uneven copies: heads and FFN at any ratio, the residual
 * stream where every unit is copied equally often. `shares` unequal or noisy keep it too, and let copies come apart.
 */
import { normName } from "../../model/table.ts";
import { type Growth, grownMaps, type Promised, seenByNorms, type WidthMethod } from "../growth.ts";
import { isUniform } from "../maps.ts";
import { sharing } from "../shares.ts";
import { copied } from "../width.ts";

export const fpi: WidthMethod = {
  name: "fpi",
  description: "function-preserving: units are copied, and the weights that read a unit are divided among its copies",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: sharing,
  promise: copiesKeepTheFunction,
  recipe: (parameter, growth, content) => copied(growth, parameter, content),
};

/** What holds for any method whose units are copies with shares that add up to 1. */
export function copiesKeepTheFunction(growth: Growth): Promised {
  if (grownMaps(growth).length === 0) return { kind: "exact", reason: "the width stays" };
  const norm = normName(growth.source.parameters);
  const [seen] = seenByNorms(growth).toSorted((a, b) => Number(isUniform(a)) - Number(isUniform(b)));
  if (seen === undefined) return { kind: "exact", reason: `no ${norm} sees the axes that grow` };
  if (isUniform(seen)) {
    return { kind: "exact", reason: `every unit of the stream is copied ${seen.counts[0]} times` };
  }
  return {
    kind: "none",
    reason: `the stream's ${seen.source} units are copied unevenly to ${seen.of.length}: ${norm} weighs some of them more`,
  };
}
