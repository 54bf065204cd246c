/**
 * Stacking: the widened layers over and over, bottom to top; what is left is filled with the top layers once more.
 *
 * Gong et al., "Efficient Training of BERT by Progressively Stacking" (ICML 2019); the remainder from the top as in
 * Chen et al., "bert2BERT" (ACL 2022), section 3.
 */
import type { DepthRule } from "../growth.ts";

export const stack: DepthRule = {
  name: "stack",
  description: "all layers again and again, the remainder from the top",
  paper: {
    title: "Efficient Training of BERT by Progressively Stacking",
    url: "https://proceedings.mlr.press/v97/gong19a.html",
  },
  promise: () => ({ kind: "none", reason: "layers are repeated" }),
  layers(source, target) {
    const whole = target - (target % source);
    return Array.from({ length: target }, (_, layer) => {
      const from = layer < whole ? layer % source : source - (target - layer);
      return { from, fresh: layer >= source };
    });
  },
};
