/**
 * Tiling outward from the centre, as ModernBERT's large model began from its base (Warner et al., "Smarter, Better,
 * Faster, Longer", 2024, section 3.2; Phi's tiling): the source stands in the middle of every dimension and goes round
 * again on both sides, unit i of N being unit (i − ⌊(N − n) / 2⌋) mod n. Nothing is divided, so nothing is kept of the
 * function. Their layers: depth rule `spread`.
 *
 * Here the same network with its units in another order: the source's own first, then those that follow them on the
 * right, then those on the left (every map of this package starts with the source's own units). Heads are tiled whole.
 * Moments: those of the entry copied.
 */
import { grownMaps, type WidthMethod } from "../growth.ts";
import { type UnitMap, unitMap } from "../maps.ts";
import { copied } from "../width.ts";

export const tile: WidthMethod = {
  name: "tile",
  description: "ModernBERT's: every dimension is tiled outward from its centre, nothing is divided",
  paper: { title: "Smarter, Better, Faster, Longer (ModernBERT)", url: "https://arxiv.org/abs/2412.13663" },
  options: [],

  promise(growth) {
    return grownMaps(growth).length > 0
      ? { kind: "none", reason: "what reads copies is not divided among them" }
      : { kind: "exact", reason: "the width stays" };
  },

  maps: ({ drawn }) => new Map([...drawn].map(([axis, map]) => [axis, fromCentre(map.source, map.of.length)])),

  recipe(parameter, growth, content) {
    const made = copied(growth, parameter, content, parameter.layer, () => 1);
    return { ...made, words: made.words.replaceAll(/shared|copied/g, "tiled from the centre") };
  },
};

/** The units at the centre and to its right, then those to its left. */
function fromCentre(source: number, target: number): UnitMap {
  const left = Math.floor((target - source) / 2);
  const of = Uint32Array.from({ length: target }, (_, j) => {
    if (j < target - left) return j % source;
    const place = j - (target - left);
    return (((place - left) % source) + source) % source;
  });
  return unitMap(source, of);
}
