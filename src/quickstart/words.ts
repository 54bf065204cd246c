/** The words of the stories: names with a gender, nouns with a plural, verbs with their forms. */

export interface Name {
  readonly word: string;
  readonly gender: "she" | "he";
}

/** A countable thing. */
export interface Noun {
  readonly one: string;
  readonly many: string;
}

export interface Verb {
  readonly base: string;
  /** Third person singular, present. */
  readonly s: string;
  readonly past: string;
}

function list(words: string): readonly string[] {
  return words.trim().split(/\s+/);
}

export const names: readonly Name[] = [
  ...list(`Ada Anna Bea Clara Dora Edith Ella Emma Flora Greta Hanna Ida Iris Jana Julia Karin Laura Lena Lina Lucy Mara
    Maria Mila Nina Nora Olga Paula Petra Rita Rosa Ruth Sara Selma Sofia Tessa Thea Tilda Vera Viola Wilma Yara Zoe`).map(
    (word): Name => ({ word, gender: "she" }),
  ),
  ...list(`Adam Anton Arno Ben Carl Daniel David Emil Erik Felix Finn Georg Gustav Hans Henry Hugo Ivan Jacob Jan Jonas
    Karl Kurt Leo Lukas Max Milo Moritz Nils Noah Oskar Otto Paul Peter Ralf Robert Samuel Simon Theo Tom Victor Walter
    Willy`).map((word): Name => ({ word, gender: "he" })),
];

/** What a person does: a word, the place of work, and what is at hand there. */
export const trades: readonly { readonly word: string; readonly place: string; readonly goods: readonly string[] }[] = [
  { word: "baker", place: "bakery", goods: ["cake", "loaf", "pie", "bun"] },
  { word: "farmer", place: "barn", goods: ["basket", "egg", "pumpkin", "rope"] },
  { word: "fisher", place: "harbour", goods: ["net", "boat", "barrel", "hook"] },
  { word: "smith", place: "forge", goods: ["key", "hammer", "nail", "bell"] },
  { word: "painter", place: "studio", goods: ["picture", "brush", "frame", "mask"] },
  { word: "gardener", place: "garden", goods: ["rose", "pot", "ladder", "apple"] },
  { word: "miller", place: "mill", goods: ["sack", "wheel", "broom", "loaf"] },
  { word: "teacher", place: "school", goods: ["book", "pencil", "map", "chair"] },
  { word: "tailor", place: "workshop", goods: ["coat", "button", "hat", "ribbon"] },
  { word: "doctor", place: "hospital", goods: ["bottle", "blanket", "spoon", "lamp"] },
  { word: "shepherd", place: "meadow", goods: ["bell", "flute", "blanket", "stick"] },
  { word: "carpenter", place: "yard", goods: ["table", "chair", "box", "hammer"] },
  { word: "sailor", place: "ship", goods: ["rope", "flag", "compass", "barrel"] },
  { word: "singer", place: "theatre", goods: ["flute", "drum", "song", "mask"] },
  { word: "potter", place: "pottery", goods: ["cup", "jug", "pot", "plate"] },
  { word: "keeper", place: "lighthouse", goods: ["lamp", "ladder", "telescope", "book"] },
];

/** A noun's plural by the usual rules, where `irregular` has no other. */
export function plural(word: string): string {
  const known = irregular[word];
  if (known !== undefined) return known;
  if (/(s|x|ch|sh)$/.test(word)) return `${word}es`;
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  return `${word}s`;
}

const irregular: Readonly<Record<string, string>> = {
  loaf: "loaves",
  knife: "knives",
  wolf: "wolves",
  goose: "geese",
  mouse: "mice",
  sheep: "sheep",
  fish: "fish",
  leaf: "leaves",
  potato: "potatoes",
  tomato: "tomatoes",
  scarf: "scarves",
  shelf: "shelves",
};

function nouns(words: string): readonly Noun[] {
  return list(words).map((one) => ({ one, many: plural(one) }));
}

/** Things that are carried, lost, found and given away. */
export const things = nouns(`apple bag ball barrel basket bell blanket boat book bottle bowl box bracelet broom brush
  bucket button candle chain chair clock coat coin comb compass crown cup doll drum feather flag flute fork glove hammer
  hat jar jewel jug key kite knife ladder lamp lantern letter loaf map mask medal mirror nail necklace needle net orange
  pencil picture pillow pin pipe plate pot puppet purse ribbon ring rope sack saddle scarf shell shoe spoon stamp stick
  stone sword table teapot telescope ticket toy trumpet umbrella vase violin wheel whistle`);

export const foods = nouns(`apple bean berry bun cake carrot cherry cookie egg fig grape lemon melon mushroom nut olive
  onion orange pancake peach pear pie plum potato pumpkin radish sandwich sausage tomato turnip walnut`);

export const animals = nouns(`badger bear bee bird cat cow crow deer dog donkey duck eagle fish fox frog goat goose
  hare hen horse lamb lizard mole mouse otter owl ox parrot pig pigeon pony rabbit raven seal sheep snail snake sparrow
  squirrel swan toad turtle weasel wolf`);

export const plants = nouns("birch bush daisy fern flower hedge leaf lily oak pine poppy rose tree tulip willow");

/** Places with the preposition for being there; people walk to all of them. */
export const places: readonly { readonly at: string; readonly word: string }[] = [
  ...list(`barn bakery castle cave cellar church cottage forest forge garden hospital hut inn kitchen library
    lighthouse mill museum palace pottery school shop stable studio theatre tower town valley village workshop yard
    house`).map((word) => ({ at: "in", word })),
  ...list("bridge farm field hill island market meadow mountain road roof ship square station").map((word) => ({
    at: "on",
    word,
  })),
  ...list("beach coast fountain gate harbour lake pond river sea spring wall well").map((word) => ({ at: "at", word })),
];

export const adjectives = list(`big small old new red blue green yellow white black grey golden silver wooden heavy
  light round broken shiny dusty pretty strange plain little painted precious`);

/** Traits of people, each with its opposite. */
export const traits: readonly (readonly [string, string])[] = [
  ["kind", "cruel"],
  ["brave", "timid"],
  ["clever", "foolish"],
  ["patient", "hasty"],
  ["cheerful", "gloomy"],
  ["honest", "sly"],
  ["generous", "greedy"],
  ["gentle", "rough"],
  ["careful", "careless"],
  ["busy", "lazy"],
  ["quiet", "noisy"],
  ["modest", "proud"],
];

export const weathers: readonly { readonly word: string; readonly sky: string; readonly also: string }[] = [
  { word: "sunny", sky: "the sun", also: "warm" },
  { word: "rainy", sky: "the rain", also: "wet" },
  { word: "windy", sky: "the wind", also: "cool" },
  { word: "snowy", sky: "the snow", also: "cold" },
  { word: "foggy", sky: "the fog", also: "grey" },
  { word: "stormy", sky: "the storm", also: "dark" },
  { word: "frosty", sky: "the frost", also: "icy" },
];

export const seasons = list("spring summer autumn winter");
/** In their order: a story's clock only goes forward. */
export const hours = ["morning", "noon", "afternoon", "evening", "night"] as const;
export const numbers = list("two three four five six seven eight nine ten eleven twelve");

function verb(base: string, past?: string, s?: string): Verb {
  const third = s ?? (/(s|x|ch|sh|o)$/.test(base) ? `${base}es` : base.replace(/([^aeiou])y$/, "$1ie").concat("s"));
  const regular = /e$/.test(base) ? `${base}d` : base.replace(/([^aeiou])y$/, "$1i").concat("ed");
  return { base, s: third, past: past ?? regular };
}

/** Every verb of the stories by its base form. */
export const verbs: ReadonlyMap<string, Verb> = new Map(
  [
    ...list(`agree answer ask arrive build_built come_came bring_brought buy_bought call carry catch_caught choose_chose clean climb
      close cook count cross cry dance decide describe dig_dug discover drink_drank drop_dropped eat_ate enter explain
      fall_fell feel_felt fill find_found finish fix follow forget_forgot forgive_forgave gather get_got give_gave go_went
      greet grow_grew guard hang_hung hear_heard help hide_hid hold_held hope hug_hugged hurry invite join jump keep_kept
      kiss knock know_knew laugh lead_led learn leave_left lend_lent lift like listen live look lose_lost love meet_met
      mend miss move need nod_nodded notice offer open paint pass pay_paid pick plant play point polish praise prepare
      promise pull push put_put reach remember repair rest return ride_rode row run_ran say_said search see_saw sell_sold
      send_sent share shine_shone shout show sing_sang sit_sat sleep_slept smile solve speak_spoke stand_stood start stay
      steal_stole stop_stopped study sweep_swept swim_swam take_took talk teach_taught tell_told thank think_thought
      throw_threw trade travel trust try turn visit wait wake_woke walk want wash watch wave wear_wore win_won whisper
      wish wonder work worry write_wrote seem belong happen admit_admitted rise_rose blow_blew end`).map((entry) => {
      const [base, past] = entry.split("_");
      return verb(base, past);
    }),
    { base: "have", s: "has", past: "had" },
    { base: "do", s: "does", past: "did" },
  ].map((one) => [one.base, one]),
);
