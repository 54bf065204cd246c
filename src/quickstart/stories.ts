/**
 * A corpus of short stories from a grammar: made on the spot, so that the first run needs nothing from outside, yet with
 * something to learn at several scales: word order and agreement, who is where and has what, questions about what
 * happened, numbers that add up. The grammar is data (stories.yaml, which says how it is written); here is what reads it.
 * Every choice is drawn from a counter-based stream of (seed, story), so a story can be told without the ones before it.
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { isJsonObject, type Json, type JsonValue } from "../util/json.ts";
import { RandomStream } from "../util/random.ts";

export interface StoryOptions {
  /** A whole number; the same seed gives the same text. */
  readonly seed: number;
  /** How many stories; about 1,000 characters each. */
  readonly stories: number;
}

export const grammar: Json = parse(readFileSync(new URL("./stories.yaml", import.meta.url), "utf8"));

/** Stories, a paragraph a line, a blank line between stories. */
export function generateStories({ seed, stories }: StoryOptions): string {
  return `${Array.from({ length: stories }, (_, i) => story(seed, i)).join("\n\n")}\n`;
}

/** Story number `index` of a seed. */
export function story(seed: number, index: number): string {
  const told = telling(new RandomStream(seed, "story", index))("{story}");
  const lines = told.split("\n").map((line) => line.replace(/ +/g, " ").trim());
  return lines
    .filter((line) => line !== "")
    .join("\n")
    .replace(/\b(a) (?=[aeiou])/gi, "$1n ");
}

function telling(random: RandomStream) {
  let drawn = 0;
  let bound: Json = {};
  /** What names got. */
  const taken = new Set<JsonValue>();

  /** A text with all that stands in braces and brackets replaced, from within; of a list, one of its texts. */
  function text(rule: JsonValue): string {
    let told = String(pick(rule));
    while (/[{[<]/.test(told)) {
      told = told.replace(
        /\{([^{}]*)\}|\[([^[\]{}<>]*)\]|<([^<>]*)>/g,
        (_, name?: string, tenses?: string, choices?: string) => {
          if (name !== undefined) return named(name);
          if (choices !== undefined) return String(pick(choices.split("|")));
          return tenses?.split("/")[bound.tense === "past" ? 0 : 1] ?? "";
        },
      );
    }
    return told;
  }

  function named(words: string): string {
    const [, capital, name, mark, rest] = /^(\^?)([^=:]+)([=:]?)\s*(.*)$/.exec(words) ?? [];
    if (mark === "=") {
      bound = { ...bound, [name]: draw(grammar[rest]) };
      return "";
    }
    if (mark === ":") bound = { ...bound, ...Object.fromEntries(rest.split("; ").map((given, i) => [i + 1, given])) };
    const path = name.split(".");
    const told = text(path.reduce(fieldOf, path[0] in bound ? bound : grammar));
    return capital === "" ? told : told.charAt(0).toUpperCase() + told.slice(1);
  }

  /** What a name gets: of a list nothing that another has got, unless there is more in it to draw from. */
  function draw(rule: JsonValue): JsonValue {
    let value = pick(rule);
    while (taken.has(value)) value = pick(rule);
    if (Array.isArray(rule) && sizeOf(value) === 1) taken.add(value);
    const reference = /^\{(\w+)\}$/.exec(String(value))?.[1];
    if (reference !== undefined) return draw(grammar[reference]);
    if (!isJsonObject(value)) return text(value);
    const outer = bound;
    let fields: Json = {};
    for (const [field, own] of Object.entries(value)) {
      bound = { ...outer, ...fields };
      fields = { ...fields, [field]: draw(own) };
    }
    bound = outer;
    return fields;
  }

  /** One of a list, each text in lists below it as likely as the others; what is no list itself. */
  function pick(rule: JsonValue): JsonValue {
    if (!Array.isArray(rule)) return rule;
    const all = rule.reduce<number>((sum, one: JsonValue) => sum + sizeOf(one), 0);
    let place = random.below(all, drawn++);
    return rule.find((one: JsonValue) => {
      place -= sizeOf(one);
      return place < 0;
    });
  }

  return text;
}

function fieldOf(record: JsonValue, field: string): JsonValue {
  if (isJsonObject(record) && Object.hasOwn(record, field)) return record[field];
  throw new Error(`the stories' grammar has no field ${field}`);
}

/** How many texts there are in the longest list of a record; of anything else 1. */
function sizeOf(rule: JsonValue): number {
  if (!isJsonObject(rule)) return 1;
  return Math.max(1, ...Object.values(rule).map((field) => (Array.isArray(field) ? field.length : 1)));
}
