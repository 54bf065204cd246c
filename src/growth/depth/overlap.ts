/**
 * Overlap: two copies of the network, one on the other, without the top layers of the lower and the bottom layers of the
 * upper one: the first n − m layers, then the last n − m, so that 2m layers in the middle are there twice.
 *
 * Depth up-scaling: Kim et al., "SOLAR 10.7B" (NAACL 2024), section 2.1 (n = 32, m = 8). An odd depth has one layer more
 * below. At most twice the depth; at that it is stacking.
 */
import { UserError } from "../../util/errors.ts";
import type { DepthRule } from "../growth.ts";

export const overlap: DepthRule = {
  name: "overlap",
  description: "the bottom layers, then the top layers of a second copy: SOLAR's depth up-scaling",
  paper: { title: "SOLAR 10.7B", url: "https://arxiv.org/abs/2312.15166" },
  promise: () => ({ kind: "none", reason: "layers are repeated" }),
  layers(source, target) {
    if (target > 2 * source) {
      const what = `two copies of ${source} layers are ${2 * source} at most, not ${target}`;
      throw new UserError(what, "--depth overlap", "take fewer layers, another rule (stack, middle), or grow twice");
    }
    const below = Math.ceil(target / 2);
    return Array.from({ length: target }, (_, layer) => {
      if (layer < below) return { from: layer, fresh: false };
      const from = source - (target - layer);
      return { from, fresh: from < below };
    });
  },
};
