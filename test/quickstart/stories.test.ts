import { describe, expect, it } from "vitest";
import { generateStories, story } from "../../src/quickstart/stories.ts";
import { Telling } from "../../src/quickstart/telling.ts";
import { foods, names, numbers, plural, verbs } from "../../src/quickstart/words.ts";

const SEED = 7;
const COUNT = 400;
const texts = Array.from({ length: COUNT }, (_, i) => story(SEED, i));
/** What the narrator says, without direct speech. */
const narrated = texts.map((text) => text.replace(/"[^"]*"/g, '""'));

describe("generateStories", () => {
  it("is a function of its seed, and a story of its number", () => {
    const corpus = generateStories({ seed: SEED, stories: 5 });
    expect(corpus).toBe(generateStories({ seed: SEED, stories: 5 }));
    expect(corpus).not.toBe(generateStories({ seed: SEED + 1, stories: 5 }));
    expect(corpus.trimEnd().split("\n\n")).toEqual(texts.slice(0, 5));
  });

  it("has a varied vocabulary and stories of some length", () => {
    const words = texts.join(" ").match(/[A-Za-z]+/g) ?? [];
    const lower = new Set(words.map((word) => word.toLowerCase()));
    expect(lower.size).toBeGreaterThan(500);
    expect(lower.size).toBeLessThan(2000);
    const mean = words.length / COUNT;
    expect(mean).toBeGreaterThan(100);
    expect(mean).toBeLessThan(300);
    expect(new Set(texts).size).toBe(COUNT);
  });

  it("writes printable text, sentences from a capital to a full stop", () => {
    for (const text of texts) {
      expect(text).not.toMatch(/undefined|null|NaN| {2}|\.\.|^\s|\s$/);
      for (const line of text.split("\n")) expect(line).toMatch(/^["A-Z].*[.!?]"?\.?$/);
    }
  });
});

describe("agreement", () => {
  it("articles fit the sound", () => {
    for (const text of texts) {
      expect(text).not.toMatch(/\b[Aa] [aeiou]/);
      expect(text).not.toMatch(/\b[Aa]n [^aeiou]/);
    }
  });

  it("a number fits its noun", () => {
    const one = new Set(foods.map((food) => food.one));
    const many = new Set(foods.map((food) => food.many));
    let seen = 0;
    for (const text of texts) {
      for (const [, count, noun] of text.matchAll(/\b([a-z]+)(?= ([a-z]+)\b)/g)) {
        if (numbers.includes(count) && one.has(noun)) expect(`${count} ${noun}`).toBe("");
        if (count === "one" && many.has(noun)) expect(`${count} ${noun}`).toBe("");
        if (numbers.includes(count) && many.has(noun)) seen++;
      }
    }
    expect(seen).toBeGreaterThan(100);
  });

  it("a story keeps its tense outside direct speech", () => {
    const past = new Set([...verbs.values()].map((verb) => verb.past));
    const present = new Set([...verbs.values()].map((verb) => verb.s));
    for (const [i, text] of narrated.entries()) {
      // Morals and questions stand outside the tense.
      const body = text.replace(/It is good to be .*|And that is the end.*|So ends .*|[A-Z][^.?!]*\?/g, "");
      const { tense } = new Telling(SEED, i);
      const words = (body.match(/[A-Za-z]+/g) ?? []).filter((word) => !/^[A-Z]/.test(word));
      const wrong = words.filter((word) =>
        tense === "past"
          ? ["is", "are", "has"].includes(word) || (present.has(word) && !past.has(word) && !NOUNS.has(word))
          : ["was", "were", "had", "did"].includes(word) ||
            (past.has(word) && !present.has(word) && !BOTH.has(word) && !NOUNS.has(word)),
      );
      expect(wrong, text).toEqual([]);
    }
  });

  it("pronouns have a person to mean", () => {
    const gender = new Map(names.map((name) => [name.word, name.gender]));
    for (const text of narrated) {
      const cast = new Set([...text.matchAll(/\b[A-Z][a-z]+\b/g)].map(([word]) => gender.get(word)));
      if (!cast.has("he")) expect(text).not.toMatch(/\b([Hh]e|[Hh]im|[Hh]is)\b/);
      if (!cast.has("she")) expect(text).not.toMatch(/\b([Ss]he|[Hh]er)\b/);
    }
  });

  it("what is counted adds up", () => {
    let checked = 0;
    const value = (word: string) => (word === "one" ? 1 : word === "no" ? 0 : numbers.indexOf(word) + 2);
    for (const text of texts) {
      const have = /market with ([a-z]+) /.exec(text);
      const sold = /(?:buys|bought) ([a-z]+) /.exec(text);
      const kept = /[Nn]ow [A-Z][a-z]+ (?:has|had) ([a-z]+) /.exec(text);
      if (have === null || sold === null || kept === null) continue;
      expect(value(have[1]) - value(sold[1])).toBe(value(kept[1]));
      checked++;
    }
    expect(checked).toBeGreaterThan(10);
  });
});

describe("words", () => {
  it("have the usual plurals and the others", () => {
    expect(["berry", "box", "fox", "wolf", "key", "tomato"].map(plural)).toEqual([
      "berries",
      "boxes",
      "foxes",
      "wolves",
      "keys",
      "tomatoes",
    ]);
  });
  it("verbs have their forms", () => {
    expect(verbs.get("carry")).toEqual({ base: "carry", s: "carries", past: "carried" });
    expect(verbs.get("go")).toEqual({ base: "go", s: "goes", past: "went" });
    expect(verbs.get("stop")?.past).toBe("stopped");
  });
});

/** Forms that are past, present and base at once, or adjectives. */
const BOTH = new Set(["put", "hurt", "left", "lost", "hung", "found", "known", "painted"]);
/** Nouns and adjectives that look like verb forms. */
const NOUNS = new Set(["painted", "plants", "flowers", "walks", "hopes", "needles", "saw", "rose"]);
