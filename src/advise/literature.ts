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

const bert2bert = ["bert2BERT (ACL 2022)", "2110.07143"] as const;
const bert = "BERT, 12 layers, 512 to 768 wide, where its curve crosses the final loss of scratch";

/** `says`, the paper's title and its number on arXiv last. */
type Row = readonly [string, Claim["counts"], Claim["architecture"], number, string, string, string];

const rows: readonly Row[] = [
  ["mslt", "reuse", "bert", 0.107, bert, ...bert2bert],
  ["direct", "reuse", "bert", 0.122, bert, ...bert2bert],
  ["stackbert", "reuse", "bert", 0.243, bert, ...bert2bert],
  ["fpi", "reuse", "bert", 0.304, bert, ...bert2bert],
  ["aki", "reuse", "bert", 0.384, bert, ...bert2bert],
  ["aki-two-stage", "reuse", "bert", 0.452, bert, ...bert2bert],
  ["aki", "reuse", "gpt2", 0.47, "GPT, 12 layers, 512 to 768 wide, likewise", ...bert2bert],
  ["ligo", "reuse", "bert", 0.447, "6 layers of 512 to 12 of 768; bert2BERT 29.0 %", "LiGO (ICLR 2023)", "2303.00980"],
  ["stack", "reuse", "gpt2", 0.353, "7 B, 4 × the layers: 54.6 % faster", "G_stack (NeurIPS 2024)", "2405.15319"],
  ["zero-one-layer", "all-in", "gpt2", 0.8, "60 layers, grown at 80 %", "Zero/one layer (ICML 2026)", "2511.04981"],
  ["midas", "all-in", "gpt2", 0.286, "1 to 8 B, as many steps: 40 % faster", "MIDAS (NeurIPS 2024)", "2409.19044"],
  ["sparkling", "all-in", "gpt2", 0.35, "twice the width in mid-run", "SPARKLING (2026)", "2602.02472"],
  ["in-run-width", "all-in", "gpt2", 0.35, "twice the width in mid-run", "SPARKLING (2026)", "2602.02472"],
];

export const claims: readonly Claim[] = rows.map(([method, counts, architecture, saving, says, title, arxiv]) => {
  return { method, counts, architecture, saving, says, title, url: `https://arxiv.org/abs/${arxiv}` };
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
