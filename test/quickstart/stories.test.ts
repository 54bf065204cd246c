import { describe, expect, it } from "vitest";
import { generateStories, grammar, story } from "../../src/quickstart/stories.ts";
import { isJsonObject, type JsonValue } from "../../src/util/json.ts";

/** All texts of the grammar below a rule. */
const textsOf = (rule: JsonValue): readonly string[] =>
  typeof rule === "object" && rule !== null ? Object.values(rule).flatMap(textsOf) : [String(rule)];
const listOf = (rule: JsonValue): readonly JsonValue[] => (Array.isArray(rule) ? rule : []);
const numbers = Object.keys(isJsonObject(grammar.numbers) ? grammar.numbers : {});
/** Each food in the singular and the plural, as in the records of the grammar. */
const foods = listOf(grammar.food).flatMap((record) => {
  if (!isJsonObject(record)) return [];
  const ends = String(record.one).startsWith("{stem}") ? ["y", "ies"] : ["", String(record.many).replace("{one}", "")];
  const stems = textsOf(record.stem ?? record.one);
  return stems.map((stem) =>
    record.one === "loaf" ? { one: "loaf", many: "loaves" } : { one: stem + ends[0], many: stem + ends[1] },
  );
});
/** The forms of every verb that has two, in the past and in the present. */
const forms = textsOf(grammar).flatMap((text) =>
  [...text.matchAll(/\[([^[\]/]*)\/([^[\]/]*)\]/g)].map(([, past, present]) => ({ past, present })),
);

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
        if (count !== "one" && numbers.includes(count) && one.has(noun)) expect(`${count} ${noun}`).toBe("");
        if (count === "one" && many.has(noun)) expect(`${count} ${noun}`).toBe("");
        if (numbers.includes(count) && many.has(noun)) seen++;
      }
    }
    expect(seen).toBeGreaterThan(100);
  });

  it("a story keeps its tense outside direct speech", () => {
    const wordsOf = (text: string) => (text.match(/[A-Za-z]+/g) ?? []).filter((word) => !/^[A-Z]/.test(word));
    const only = (own: "past" | "present", other: "past" | "present") => {
      const others = new Set(forms.flatMap((form) => wordsOf(form[other])));
      return new Set(forms.flatMap((form) => wordsOf(form[own])).filter((word) => !others.has(word)));
    };
    const [past, present] = [only("past", "present"), only("present", "past")];
    expect(past.size).toBeGreaterThan(60);
    let [told, toldNow] = [0, 0];
    for (const text of narrated) {
      // Morals, questions and infinitives stand outside the tense.
      const body = text.replace(
        /It is good to be .*|And that is the end.*|So ends .*|[A-Z][^.?!]*\?|\b(?:not|to|could|can)(?: not)? [a-z]+/g,
        "",
      );
      const found = (set: ReadonlySet<string>) => wordsOf(body).filter((word) => set.has(word) && !ALIKE.has(word));
      const [before, now] = [found(past), found(present)];
      expect(now.length > before.length ? before : now, text).toEqual([]);
      if (before.length > 0) told++;
      if (now.length > 0) toldNow++;
    }
    expect(told + toldNow).toBe(COUNT);
    expect(Math.min(told, toldNow)).toBeGreaterThan(COUNT / 5);
  });

  it("pronouns have a person to mean", () => {
    const gender = new Map(
      listOf(grammar.people).flatMap((kind) =>
        isJsonObject(kind) ? textsOf(kind.name).map((name) => [name, kind.they] as const) : [],
      ),
    );
    for (const text of narrated) {
      const cast = new Set([...text.matchAll(/\b[A-Z][a-z]+\b/g)].map(([word]) => gender.get(word)));
      if (!cast.has("he")) expect(text).not.toMatch(/\b([Hh]e|[Hh]im|[Hh]is)\b/);
      if (!cast.has("she")) expect(text).not.toMatch(/\b([Ss]he|[Hh]er)\b/);
    }
  });

  it("what is counted adds up", () => {
    let checked = 0;
    const value = (word: string) => (word === "one" ? 1 : word === "no" ? 0 : numbers.indexOf(word) + 1);
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

describe("the grammar", () => {
  it("has no name that it does not say, and no text that no story uses", () => {
    const all = Array.from({ length: 1000 }, (_, i) => story(SEED, i)).join(" ");
    expect(all).not.toMatch(/[{}<>[\]|^]/);
    for (const trade of listOf(grammar.trades)) expect(all).toContain(textsOf(trade)[0]);
    for (const { one, many } of foods) expect([one, many].filter((word) => all.includes(word))).toEqual([one, many]);
  });
});

/** Adjectives that look like a verb's form. */
const ALIKE = new Set(["left", "painted", "saw"]);
