/**
 * AKI, advanced knowledge initialisation: new units of a layer take the weights of the layer above, because neighbouring
 * layers do similar work and the copies then differ.
 *
 * Chen et al., "bert2BERT" (ACL 2022), section 3.4: the in dimensions of layers l and l + 1 are grown by FPI; along the
 * out dimensions the source's own units are l's and new ones l + 1's. The top layer uses itself; embeddings and heads
 * are FPI's. `scope all` is that formula to the letter. `scope units` takes only heads and FFN units from above, so that
 * the residual stream stays a copy; what reads a new unit back into the stream is then either its own layer's (`readout
 * lower`, the formula) or moves with the unit (`readout upper`).
 */
import { AXES, type Dim, type Parameter } from "../../model/table.ts";
import { UserError } from "../../util/errors.ts";
import { type Growth, grownMaps, type WidthMethod } from "../growth.ts";
import { choose } from "../recipe.ts";
import { copied, grownFactors, newUnits } from "../width.ts";
import { copiesKeepTheFunction } from "./fpi.ts";

export const aki: WidthMethod = {
  name: "aki",
  description: "new units of a layer take the weights of the layer above; embeddings and heads as fpi",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: [
    {
      name: "scope",
      words: ["all", "units"],
      description: "what comes from the layer above: every new out dimension, or new heads and FFN units only",
    },
    {
      name: "readout",
      words: ["lower", "upper"],
      description: "with scope units: whether what reads a new unit stays its own layer's or comes with it",
    },
  ],

  promise(growth) {
    if (growth.options.readout === "upper" && growth.options.scope !== "units") {
      throw new UserError("it has a meaning with scope units only", "--readout", "add --scope units, or leave it out");
    }
    if (growth.source.dimensions.layers === 1 || grownMaps(growth).length === 0) return copiesKeepTheFunction(growth);
    return { kind: "none", reason: "new units do the work of the layer above" };
  },

  recipe(parameter, growth, content) {
    const own = copied(growth, parameter, content);
    const { layer } = parameter;
    const d = parameter.dims.findIndex((dim) => comesFromAbove(dim, parameter, growth));
    if (layer === null || layer + 1 >= growth.source.dimensions.layers || d < 0) return own;
    const dim = parameter.dims[d];
    const above = copied(growth, parameter, content, layer + 1);
    const axes = grownFactors(growth, dim).map(({ axis }) => AXES[axis].name);
    const words = `${own.words}; new ${axes.join(" and ")} units from the layer above`;
    return choose(d, newUnits(growth, dim), own, above, words);
  },
};

/** Whether the new indices along a dimension are the layer above's. */
function comesFromAbove(dim: Dim, parameter: Parameter, growth: Growth): boolean {
  const grown = grownFactors(growth, dim);
  if (grown.length === 0) return false;
  if (growth.options.scope === "all") return dim.role === "out";
  const inner = grown.some(({ axis }) => AXES[axis].inner);
  return inner && (dim.role === "out" || (parameter.part === "branch-output" && growth.options.readout === "upper"));
}
