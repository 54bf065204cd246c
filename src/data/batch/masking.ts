/**
 * Dynamic masking (Devlin et al., "BERT", 2019, appendix A.1; dynamic as in Liu et al., "RoBERTa", 2019): of each
 * sequence exactly round(share × maskable tokens) positions are predicted, at least one; 80 % of them become the mask
 * token, 10 % a random token, 10 % stay. Special tokens are never chosen and never drawn.
 */
import type { RandomStream } from "../../util/random.ts";
import type { TokenizerInfo } from "../tokenizer/tokenizer.ts";

/** How many positions of a sequence with so many maskable tokens are predicted. */
export function maskedCount(share: number, maskable: number): number {
  return maskable === 0 ? 0 : Math.min(maskable, Math.max(1, Math.round(share * maskable)));
}

export type Masker = ReturnType<typeof maskerFor>;

/**
 * A masker for a tokenizer with a mask token.
 * @param share of the maskable tokens, 0 < share ≤ 1 @param below ids that are drawn are below it too
 */
export function maskerFor(tokenizer: TokenizerInfo, maskId: number, share: number, below = tokenizer.vocabulary) {
  const { specialIds } = tokenizer;
  const special = new Set(specialIds);
  const vocabulary = Math.min(below, tokenizer.vocabulary);
  const ordinaries = Math.max(1, vocabulary - specialIds.filter((id) => id < vocabulary).length);
  /** The n-th id that is not special. */
  const ordinary = (n: number) => {
    let id = n;
    for (const one of specialIds) if (one <= id) id++;
    return Math.min(id, vocabulary - 1);
  };
  let positions = new Int32Array(0);
  return {
    /** How many of `ids[start … end − 1]` may be masked. */
    maskable(ids: Int32Array, start: number, end: number): number {
      let count = 0;
      for (let i = start; i < end; i++) if (!special.has(ids[i])) count++;
      return count;
    },

    /**
     * Chooses positions among `ids[start … end − 1]` and replaces their tokens in place.
     * @param random with room for 4 · (end − start) numbers from `base`
     * @param found takes each chosen position, ascending, and the token that stood there
     */
    mask(
      ids: Int32Array,
      start: number,
      end: number,
      random: RandomStream,
      base: number,
      found: (position: number, token: number) => void,
    ): void {
      if (positions.length < end - start) positions = new Int32Array(end - start);
      let maskable = 0;
      for (let i = start; i < end; i++) if (!special.has(ids[i])) positions[maskable++] = i;
      const count = maskedCount(share, maskable);
      // The first `count` steps of a Fisher–Yates shuffle.
      for (let i = 0; i < count; i++) {
        const j = i + random.below(maskable - i, base + i);
        [positions[i], positions[j]] = [positions[j], positions[i]];
      }
      const choices = base + (end - start);
      for (const [i, position] of positions.subarray(0, count).sort().entries()) {
        found(position, ids[position]);
        const choice = random.uniform(choices + 2 * i);
        if (choice < 0.8) ids[position] = maskId;
        else if (choice < 0.9) ids[position] = ordinary(random.below(ordinaries, choices + 2 * i + 1));
      }
    },
  };
}
