/** What papers say that growing saves, and what that lets one expect. */
import type { Lineage } from "../growth/growth.ts";

/**
 * What papers say that growing saves, and how they count: `reuse` takes the source as free, `all-in` charges everything.
 * A speed-up of x is a saving of 1 − 1 / x. Of a claim that a study can repeat, `method` is the study's name for it.
 */
export interface Claim extends Lineage {
  readonly method: string;
  readonly says: string;
  readonly counts: "reuse" | "all-in";
  /** Of the FLOPs, or of the time where that is what is counted. */
  readonly saving: number;
  /** The architecture whose target a study's figure stands beside. */
  readonly architecture: "bert" | "gpt2";
}

const bert2bert = { title: "bert2BERT (ACL 2022)", url: "https://arxiv.org/abs/2110.07143" };
const bert = "BERT, 12 layers, 512 to 768 wide, where its curve crosses the final loss of scratch";

type Row = readonly [Claim["method"], Claim["counts"], Claim["architecture"], number, says: string, Lineage];

const rows: readonly Row[] = [
  ["mslt", "reuse", "bert", 0.107, bert, bert2bert],
  ["direct", "reuse", "bert", 0.122, bert, bert2bert],
  ["stackbert", "reuse", "bert", 0.243, bert, bert2bert],
  ["fpi", "reuse", "bert", 0.304, bert, bert2bert],
  ["aki", "reuse", "bert", 0.384, bert, bert2bert],
  ["aki-two-stage", "reuse", "bert", 0.452, bert, bert2bert],
  ["aki", "reuse", "gpt2", 0.47, "GPT, 12 layers, 512 to 768 wide, likewise", bert2bert],
  [
    ...(["ligo", "reuse", "bert", 0.447, "BERT, 6 layers of 512 to 12 of 768; 29.0 % for bert2BERT there"] as const),
    { title: "LiGO (ICLR 2023)", url: "https://arxiv.org/abs/2303.00980" },
  ],
  [
    ...(["stack", "reuse", "gpt2", 1 - 1 / 1.546, "7 B, four times the layers, 300 B tokens: 54.6 % faster"] as const),
    { title: "G_stack (NeurIPS 2024)", url: "https://arxiv.org/abs/2405.15319" },
  ],
  [
    ...([
      "zero-one-layer",
      "all-in",
      "gpt2",
      0.8,
      "60 layers, expanded once at 80 % of the steps: about 80 %",
    ] as const),
    { title: "Zero/one-layer expansion (ICML 2026)", url: "https://arxiv.org/abs/2511.04981" },
  ],
  [
    ...(["midas", "all-in", "gpt2", 1 - 1 / 1.4, "1 to 8 B, as many steps: up to 40 % faster"] as const),
    { title: "MIDAS (NeurIPS 2024)", url: "https://arxiv.org/abs/2409.19044" },
  ],
  [
    ...(["in-run-width", "all-in", "gpt2", 0.35, "twice the width in mid-run: 35 %"] as const),
    { title: "SPARKLING (2026)", url: "https://arxiv.org/abs/2602.02472" },
  ],
];

export const claims: readonly Claim[] = rows.map(([method, counts, architecture, saving, says, paper]) => {
  return { method, counts, architecture, saving, says, ...paper };
});

/**
 * What to expect where nothing was measured. Reuse: «When is warmstarting effective» (arXiv 2605.13405) finds twice the
 * size reliable and the largest gains below 20 tokens a parameter, and a source's head start is a smaller part of a longer
 * run. All-in: claims from 0 to 80 %, some contradicted, and a finished source never paid by itself: nothing is taken for
 * granted. @param growth target's parameters over the source's @param tokens of the run, a parameter of the target
 */
export function expected(counts: Claim["counts"], growth: number, tokens: number): number {
  return counts === "all-in" ? 0 : (0.4 * Math.min(1, 1 / Math.log2(growth))) / (1 + tokens / 40);
}
