/**
 * The grammar a story is told by: tense for the whole story, number for each verb, gender for each pronoun, articles,
 * and the state that must hold together: who is where, who has what, how late it is. Every choice is drawn from a
 * counter-based stream of (seed, story), so a story can be told without the ones before it.
 */
import { RandomStream } from "../util/random.ts";
import {
  adjectives,
  animals,
  hours,
  type Name,
  type Noun,
  names,
  numbers,
  places,
  seasons,
  things,
  trades,
  traits,
  verbs,
  weathers,
} from "./words.ts";

export interface Person {
  readonly name: string;
  readonly gender: Name["gender"];
  readonly trade: (typeof trades)[number];
  readonly trait: string;
  /** The trait's opposite, for a change of heart. */
  readonly other: string;
}

export interface Thing {
  readonly adjective: string;
  readonly noun: Noun;
}

export class Telling {
  readonly #random: RandomStream;
  #drawn = 0;
  readonly #lines: string[] = [];
  #sentences: string[] = [];
  /** Whom a pronoun would mean now. */
  #subject: Person | null = null;
  #hour = 0;

  readonly tense: "past" | "present";
  /** The main character, a friend, another person. All differ. */
  readonly hero: Person;
  readonly friend: Person;
  readonly third: Person;
  readonly item: Thing;
  readonly season: string;
  readonly weather: (typeof weathers)[number];
  readonly animal: Noun;

  constructor(seed: number, story: number) {
    this.#random = new RandomStream(seed, "story", story);
    this.tense = this.chance(0.7) ? "past" : "present";
    const cast = this.some(names, 3);
    const work = this.some(trades, 3);
    const nature = this.some(traits, 3);
    const person = (i: number): Person => {
      const [trait, other] = nature[i];
      return { ...{ name: cast[i].word, gender: cast[i].gender }, trade: work[i], trait, other };
    };
    this.hero = person(0);
    this.friend = person(1);
    this.third = person(2);
    this.item = this.thing();
    this.season = this.pick(seasons);
    this.weather = this.pick(weathers);
    this.animal = this.pick(animals);
    this.#hour = this.#random.below(2, this.#drawn++);
  }

  below(n: number): number {
    return this.#random.below(n, this.#drawn++);
  }

  chance(p: number): boolean {
    return this.#random.uniform(this.#drawn++) < p;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)];
  }

  /** `count` different ones. */
  some<T>(list: readonly T[], count: number): T[] {
    const left = [...list];
    return Array.from({ length: count }, () => left.splice(this.below(left.length), 1)[0]);
  }

  thing(): Thing {
    return { adjective: this.pick(adjectives), noun: this.pick(things) };
  }

  /** A place that is none of those named, as [preposition, word]. */
  place(...not: readonly Place[]): Place {
    const taken = new Set(not.map((one) => one.word));
    return this.pick(places.filter((one) => !taken.has(one.word)));
  }

  /** Adds a sentence: a capital first, a full stop where nothing ends it yet. One of several wordings is drawn. */
  say(...wordings: readonly string[]): void {
    const text = this.pick(wordings);
    const end = /[.!?]"?$/.test(text) ? "" : ".";
    this.#sentences.push(capital(text) + end);
  }

  /** Direct speech of a person, with its verb before or behind; speech is always in the present. */
  speech(speaker: Person, words: string, verb = "say", to?: Person): void {
    const mark = /[.!?]$/.test(words) ? "" : ".";
    const quoted = `${capital(words)}${mark}`;
    const listener = to === undefined ? "" : verb === "ask" ? ` ${to.name}` : ` to ${to.name}`;
    if (this.chance(0.5)) {
      this.say(`${this.who(speaker)} ${this.verb(verb)}${listener}: "${quoted}"`);
    } else {
      const inner = /\.$/.test(quoted) ? `${quoted.slice(0, -1)},` : quoted;
      this.say(`"${inner}" ${this.verb(verb)} ${speaker.name}${listener}`);
    }
    this.#subject = speaker;
  }

  /** Ends the paragraph. */
  paragraph(): void {
    if (this.#sentences.length > 0) this.#lines.push(this.#sentences.join(" "));
    this.#sentences = [];
    this.#subject = null;
  }

  get text(): string {
    this.paragraph();
    return this.#lines.join("\n");
  }

  /** A person as a subject: the name, or a pronoun where that is clear. */
  who(person: Person): string {
    if (this.#subject === person && this.chance(0.6)) return person.gender;
    this.#subject = person;
    return person.name;
  }

  /** Several people as a subject; nobody is "she" or "he" after it. */
  both(a: Person, b: Person): string {
    this.#subject = null;
    return `${a.name} and ${b.name}`;
  }

  /** The form of a verb after a subject, in the story's tense. */
  verb(base: string, many = false): string {
    if (base === "be") return this.tense === "past" ? (many ? "were" : "was") : many ? "are" : "is";
    const verb = verbs.get(base);
    if (verb === undefined) throw new Error(`${base} is not among the verbs`);
    return this.tense === "past" ? verb.past : many ? verb.base : verb.s;
  }

  /** "did not go", "does not go", "do not go". */
  not(base: string, many = false): string {
    return `${this.tense === "past" ? "did" : many ? "do" : "does"} not ${base}`;
  }

  /** "could" or "can", "would" or "will". */
  modal(which: "can" | "will"): string {
    if (this.tense === "present") return which;
    return which === "can" ? "could" : "would";
  }

  /** The next hour of the day; after the night it is the next morning. */
  later(): string {
    this.#hour++;
    if (this.#hour % hours.length === 0) return "the next morning";
    const hour = hours[this.#hour % hours.length];
    return hour === "noon" || hour === "night" ? `at ${hour}` : `in the ${hour}`;
  }

  get hour(): string {
    return hours[this.#hour % hours.length];
  }
}

export type Place = (typeof places)[number];

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** "in the barn". */
export function at(place: Place): string {
  return `${place.at} the ${place.word}`;
}

/** "an old lamp". */
export function a(words: string): string {
  return `${/^[aeiou]/.test(words) ? "an" : "a"} ${words}`;
}

export function object(person: Person): string {
  return person.gender === "she" ? "her" : "him";
}

export function possessive(person: Person): string {
  return person.gender === "she" ? "her" : "his";
}

/** "golden key". */
export function full(thing: Thing): string {
  return `${thing.adjective} ${thing.noun.one}`;
}

/** "one apple", "three apples", "no apples": numbers up to twelve. */
export function counted(count: number, noun: Noun): string {
  if (count === 1) return `one ${noun.one}`;
  return `${count === 0 ? "no" : numbers[count - 2]} ${noun.many}`;
}
