/**
 * A growth method of one's own: DirectCopy, but what is new is drawn smaller, so that it disturbs the source less.
 * docs/examples/study.ts runs it.
 */
import { corner, fresh, methodOf, type Recipe, type WidthMethod } from "bert2bert";

/** The same numbers times a factor. */
function scaled(recipe: Recipe, factor: number): Recipe {
  return {
    ...recipe,
    words: `${recipe.words}, times ${factor}`,
    async fill(out, row, source) {
      await recipe.fill(out, row, source);
      for (let i = 0; i < out.length; i++) out[i] *= factor;
    },
  };
}

export const calm: WidthMethod = {
  name: "calm",
  description: "the source in the corner, the rest random and small",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: [{ name: "scale", default: 0.25, description: "what random values are multiplied with" }],
  promise: () => ({ kind: "none", reason: "new units are random" }),

  recipe(parameter, growth, content) {
    const own = methodOf("direct").recipe(parameter, growth, content);
    if (content !== "weight") return own;
    const drawn = fresh(growth, parameter);
    const rest = parameter.init.kind === "normal" ? scaled(drawn, Number(growth.options.scale)) : drawn;
    return corner(growth, parameter, own, rest);
  },
};
