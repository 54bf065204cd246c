/**
 * A corpus of short stories from a grammar: made on the spot, so that the first run needs nothing from outside, yet with
 * something to learn at several scales: word order and agreement, who is where and has what, questions about what
 * happened, numbers that add up.
 */
import { closing, opening, plots } from "./plots.ts";
import { Telling } from "./telling.ts";

export interface StoryOptions {
  /** A whole number; the same seed gives the same text. */
  readonly seed: number;
  /** How many stories; about 1,100 characters each. */
  readonly stories: number;
}

/** Stories, a paragraph a line, a blank line between stories. */
export function generateStories(options: StoryOptions): string {
  const told: string[] = [];
  for (let i = 0; i < options.stories; i++) told.push(story(options.seed, i));
  return `${told.join("\n\n")}\n`;
}

/** Story number `index` of a seed. */
export function story(seed: number, index: number): string {
  const t = new Telling(seed, index);
  opening(t);
  t.pick(plots)(t);
  t.paragraph();
  closing(t);
  return t.text;
}
