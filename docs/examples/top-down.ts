/**
 * A plan of one's own: the top block trains first, then one block more in each stage, then everything.
 * docs/examples/study.ts runs it.
 */

import { definePlan, type StageSpec } from "bert2bert";
import { z } from "zod";

export const topDown = definePlan({
  name: "top-down",
  description: "trains the top block, then one more in each stage, then the whole model",
  options: z.strictObject({
    /** Of the steps, for each stage but the last. */
    share: z.number().gt(0).lt(1).default(0.1),
  }),
  expand: ({ share }, layers) => [
    ...Array.from(
      { length: layers - 1 },
      (_, i): StageSpec => ({
        name: `top ${i + 1}`,
        share,
        models: [{ layers, train: i + 1 }],
        head: true,
        optimizer: "keep",
      }),
    ),
    { name: "whole", head: true, optimizer: "keep" },
  ],
});
