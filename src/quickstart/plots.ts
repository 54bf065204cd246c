/**
 * What happens in the stories. A plot is a function that tells itself: it draws what it needs and keeps the state
 * straight, so that what a later sentence says follows from an earlier one: where the lost thing lies, who brought what,
 * how many apples are left.
 */
import { a, at, capital, counted, full, object, type Person, possessive, type Telling } from "./telling.ts";
import { animals, foods, places, plants } from "./words.ts";

export type Plot = (t: Telling) => void;

/** A new day or hour, weather, who the hero is. */
export function opening(t: Telling): void {
  const { hero } = t;
  const work = placeNamed(hero.trade.place);
  const verb = (base: string) => t.verb(base);
  if (t.tense === "past" && t.chance(0.4)) {
    t.say(`once there was ${a(`${hero.trait} ${hero.trade.word}`)} called ${hero.name}`);
  } else {
    t.say(
      `${t.who(hero)} ${verb("be")} ${a(`${hero.trait} ${hero.trade.word}`)}`,
      `${hero.name} the ${hero.trade.word} ${verb("be")} known as ${a(`${hero.trait} person`)}`,
    );
  }
  t.say(
    `${t.who(hero)} ${verb("work")} ${work} every day`,
    `every morning ${t.who(hero)} ${verb("go")} to the ${hero.trade.place}`,
    `${t.who(hero)} ${verb("live")} near the ${hero.trade.place}`,
  );
  const { weather } = t;
  t.say(
    `it ${verb("be")} ${a(`${weather.word} ${t.hour}`)} in ${t.season}, and the air ${verb("be")} ${weather.also}`,
    `that ${t.hour} it ${verb("be")} ${weather.word} and ${weather.also}, as often in ${t.season}`,
    `${weather.sky} ${verb("wake")} ${hero.name} on ${a(`${weather.also} ${t.season} ${t.hour}`)}`,
  );
  t.paragraph();
}

function placeNamed(word: string): string {
  const known = places.find((place) => place.word === word);
  return at(known ?? { at: "in", word });
}

const lost: Plot = (t) => {
  const { hero, friend, third, item } = t;
  const where = t.place();
  const wrong = t.place(where);
  const thing = item.noun.one;
  t.say(
    `${t.who(hero)} ${t.verb("have")} ${a(full(item))}`,
    `${t.who(hero)} ${t.verb("love")} ${possessive(hero)} ${full(item)}`,
  );
  t.say(
    `but one day the ${thing} ${t.verb("be")} gone`,
    `but now ${t.who(hero)} ${t.modal("can")} not find the ${thing}`,
  );
  t.say(`${t.who(hero)} ${t.verb("search")} ${at(wrong)}, but the ${thing} ${t.verb("be")} not there`);
  t.paragraph();
  t.say(`then ${t.who(hero)} ${t.verb("meet")} ${friend.name} the ${friend.trade.word}`);
  t.speech(hero, `I have lost my ${full(item)}. Have you seen it?`, "ask", friend);
  if (t.chance(0.5)) {
    t.speech(friend, `yes, I saw ${a(thing)} ${at(where)}`, "answer");
  } else {
    t.speech(friend, `no, but ask ${third.name} the ${third.trade.word}`, "answer");
    t.say(`so ${hero.name} ${t.verb("go")} to the ${third.trade.place} and ${t.verb("ask")} ${third.name}`);
    t.speech(third, `your ${thing} is ${at(where)}`, "say");
  }
  t.paragraph();
  t.say(`${t.later()} ${t.both(hero, friend)} ${t.verb("walk", true)} to the ${where.word}`);
  t.say(`${at(where)} they ${t.verb("find", true)} the ${full(item)} under ${a(t.pick(plants).one)}`);
  t.say(`${t.who(hero)} ${t.verb("thank")} ${friend.name} and ${t.verb("carry")} the ${thing} home`);
  recall(t, `where did ${hero.name} find the ${thing}?`, `${at(where)}`);
};

const trade: Plot = (t) => {
  const { hero, friend, third } = t;
  const goods = t.pick(foods);
  const have = 4 + t.below(8);
  const sold = 1 + t.below(have - 2);
  const given = have - sold > 1 ? 1 + t.below(have - sold - 1) : 0;
  const left = have - sold - given;
  t.say(`${t.later()} ${t.who(hero)} ${t.verb("go")} to the market with ${counted(have, goods)}`);
  t.say(`${friend.name} the ${friend.trade.word} ${t.verb("come")} to the market as well`);
  t.speech(friend, `how many ${goods.many} do you have?`, "ask");
  t.speech(hero, `I have ${counted(have, goods)}`, "answer");
  t.say(`${friend.name} ${t.verb("buy")} ${counted(sold, goods)}`);
  t.say(`now ${hero.name} ${t.verb("have")} ${counted(have - sold, goods)}`);
  t.paragraph();
  if (given > 0) {
    t.say(`on the way home ${t.who(hero)} ${t.verb("meet")} ${third.name}, who ${t.verb("be")} hungry`);
    t.say(`${t.who(hero)} ${t.verb("give")} ${object(third)} ${counted(given, goods)}`);
    t.speech(third, `thank you for the ${given === 1 ? goods.one : goods.many}, ${hero.name}`);
  }
  t.say(`in the end ${counted(left, goods)} ${t.verb("be", left !== 1)} left`);
  recall(t, `who bought ${counted(sold, goods)}?`, friend.name);
};

const journey: Plot = (t) => {
  const { hero, friend, item, animal } = t;
  const goal = t.place();
  const way = t.place(goal);
  t.say(`${friend.name} the ${friend.trade.word} ${t.verb("live")} far away, near the ${goal.word}`);
  t.say(`${t.who(hero)} ${t.verb("want")} to visit ${friend.name} and to bring ${object(friend)} ${a(full(item))}`);
  t.say(
    `${t.later()} ${t.who(hero)} ${t.verb("take")} the ${item.noun.one} and ${t.verb("leave")} the ${hero.trade.place}`,
  );
  t.paragraph();
  t.say(`${at(way)} ${t.who(hero)} ${t.verb("hear")} ${a(animal.one)}`);
  t.say(`the ${animal.one} ${t.verb("be")} hurt and ${t.modal("can")} not walk`);
  const food = t.pick(foods);
  t.say(
    `${t.who(hero)} ${t.verb("give")} the ${animal.one} ${a(food.one)} and ${t.verb("stay")} until it ${t.verb("be")} well`,
  );
  t.say(`then the ${animal.one} ${t.verb("show")} ${hero.name} the way to the ${goal.word}`);
  t.paragraph();
  t.say(`${t.later()} ${t.who(hero)} ${t.verb("reach")} the ${goal.word}`);
  t.say(`${t.who(friend)} ${t.verb("open")} the door and ${t.verb("hug")} ${hero.name}`);
  t.speech(hero, `this ${item.noun.one} is for you`, "say", friend);
  t.speech(friend, `what ${a(full(item))}! How did you find the way?`, "ask");
  t.speech(hero, `${a(animal.one)} helped me ${at(way)}`, "answer");
  recall(t, `who has the ${item.noun.one} now?`, friend.name);
};

const quarrel: Plot = (t) => {
  const { hero, friend, third, item } = t;
  const where = t.place();
  const thing = item.noun.one;
  t.say(`${at(where)} ${t.both(hero, friend)} ${t.verb("find", true)} ${a(full(item))}`);
  t.speech(hero, `the ${thing} is mine, because I saw it first`);
  t.speech(friend, `no, the ${thing} is mine, because I picked it up`);
  t.say(`they ${t.verb("shout", true)} so loudly that ${third.name} the ${third.trade.word} ${t.verb("hear")} them`);
  t.paragraph();
  t.say(`${t.who(third)} ${t.verb("be")} ${third.trait} and ${t.verb("listen")} to both of them`);
  t.speech(third, `you can share the ${thing}: today it belongs to ${hero.name}, tomorrow to ${friend.name}`);
  t.say(`${t.both(hero, friend)} ${t.verb("agree", true)} and ${t.verb("be", true)} friends again`);
  t.say(`${t.later()} ${t.who(hero)} ${t.verb("carry")} the ${thing} to the ${hero.trade.place}`);
  t.say(`the next day ${t.who(friend)} ${t.verb("take")} it to the ${friend.trade.place}`);
  recall(t, `who found a way to share the ${thing}?`, third.name);
};

const theft: Plot = (t) => {
  const { hero, friend, third, item } = t;
  const hiding = t.place();
  const thing = item.noun.one;
  t.say(`${t.who(hero)} ${t.verb("keep")} ${a(full(item))} in ${a(t.pick(["box", "chest", "drawer", "bag"]))}`);
  t.say(
    `${t.later()} ${third.name} the ${third.trade.word} ${t.verb("steal")} the ${thing} and ${t.verb("hide")} it ${at(hiding)}`,
  );
  t.say(`only ${friend.name} ${t.verb("see")} it`, `but ${friend.name} ${t.verb("watch")} ${object(third)}`);
  t.paragraph();
  t.say(
    `when ${hero.name} ${t.verb("come")} home, the ${thing} ${t.verb("be")} gone, and ${hero.gender} ${t.verb("cry")}`,
  );
  t.speech(friend, `${third.name} has taken your ${thing} and hidden it ${at(hiding)}`, "say", hero);
  t.say(
    `so ${t.both(hero, friend)} ${t.verb("hurry", true)} to the ${hiding.word} and ${t.verb("find", true)} the ${full(item)}`,
  );
  t.paragraph();
  t.speech(hero, `why did you steal my ${thing}?`, "ask", third);
  t.speech(third, `I am sorry. I wanted to have ${a(full(item))} too`, "answer");
  if (t.chance(0.6)) {
    t.say(`${t.who(hero)} ${t.verb("forgive")} ${object(third)}, and ${third.name} ${t.verb("promise")} to be honest`);
  } else {
    t.say(`${t.who(hero)} ${t.not("forgive")} ${object(third)}, and ${third.name} ${t.verb("leave")} the village`);
  }
  recall(t, `who stole the ${thing}?`, third.name);
};

const repair: Plot = (t) => {
  const { hero, friend, item } = t;
  const thing = item.noun.one;
  const tool = t.pick(hero.trade.goods.filter((one) => one !== thing));
  t.say(`${t.later()} ${friend.name} ${t.verb("come")} to the ${hero.trade.place} with ${a(`broken ${thing}`)}`);
  t.speech(
    friend,
    `my ${thing} fell from the ${t.pick(["roof", "table", "wall", "horse"])}. Can you repair it?`,
    "ask",
  );
  t.speech(hero, `I will try, but it takes until ${t.pick(["the evening", "tomorrow", "the morning"])}`, "answer");
  t.say(
    `${t.who(hero)} ${t.verb("take")} ${a(tool)} and ${t.verb("work")} for ${t.pick(["two", "three", "four", "five"])} hours`,
  );
  t.say(
    `${t.who(hero)} ${t.verb("clean")} the ${thing}, ${t.verb("mend")} it and ${t.verb("paint")} it ${t.pick(["red", "blue", "green", "white"])}`,
  );
  t.paragraph();
  t.say(`${t.later()} ${t.who(friend)} ${t.verb("return")}`);
  t.speech(friend, `my ${thing} looks like a new one`);
  t.say(`${t.who(friend)} ${t.verb("pay")} ${hero.name} with ${counted(2 + t.below(5), t.pick(foods))}`);
  recall(t, `who repaired the ${thing}?`, hero.name);
};

const party: Plot = (t) => {
  const { hero, friend, third } = t;
  const where = t.place();
  const [first, second] = [t.thing(), t.thing()];
  t.say(`${t.who(hero)} ${t.verb("decide")} to give a party ${at(where)}`);
  t.say(
    `${t.who(hero)} ${t.verb("invite")} ${friend.name} the ${friend.trade.word} and ${third.name} the ${third.trade.word}`,
  );
  const animalGuest = t.pick(animals);
  t.say(`even the ${animalGuest.many} from the ${t.place(where).word} ${t.verb("be", true)} allowed to come`);
  t.paragraph();
  t.say(`${t.later()} the guests ${t.verb("arrive", true)} ${at(where)}`);
  t.say(`${t.who(friend)} ${t.verb("bring")} ${a(full(first))}`);
  t.say(`${t.who(third)} ${t.verb("bring")} ${a(full(second))}`);
  t.say(
    `they all ${t.verb("eat", true)} ${t.pick(foods).many} and ${t.pick(foods).many}, and the ${animalGuest.many} ${t.verb("dance", true)}`,
  );
  t.speech(hero, `thank you for the ${full(first)}`, "say", friend);
  t.speech(hero, `and thank you for the ${full(second)}`, "say", third);
  t.say(`${t.later()} everyone ${t.verb("go")} home`);
  const asked = t.chance(0.5);
  recall(t, `who brought the ${(asked ? first : second).noun.one}?`, (asked ? friend : third).name);
};

const lesson: Plot = (t) => {
  const { hero, friend } = t;
  const skill = t.pick(["sing", "swim", "cook", "row", "dance", "write", "fish", "climb", "ride", "draw"]);
  t.say(`${t.who(friend)} ${t.verb("want")} to learn how to ${skill}`);
  t.speech(friend, `will you teach me how to ${skill}?`, "ask", hero);
  t.speech(hero, `yes, if you are ${t.pick(["patient", "careful", "quiet"])}`, "answer");
  const where = t.place();
  t.say(`${t.later()} they ${t.verb("meet", true)} ${at(where)}`);
  t.say(`at first ${friend.name} ${t.modal("can")} not ${skill} at all, and ${hero.name} ${t.verb("laugh")}`);
  t.say(`but ${t.who(friend)} ${t.verb("try")} again and again`);
  t.paragraph();
  const days = t.pick(["two", "three", "four", "five", "six"]);
  t.say(`after ${days} days ${friend.name} ${t.modal("can")} ${skill} better than ${hero.name}`);
  t.speech(hero, `now you can ${skill}, and you needed only ${days} days`);
  t.say(`${t.who(friend)} ${t.verb("be")} proud and ${t.verb("thank")} ${possessive(friend)} teacher`);
  recall(t, `where did ${friend.name} learn to ${skill}?`, at(where));
};

const choice: Plot = (t) => {
  const { hero, friend, third } = t;
  const trait = hero.trait;
  t.say(
    `people ${t.verb("say", true)} that ${hero.name} ${t.verb("be")} ${trait} and that ${third.name} ${t.verb("be")} ${hero.other}`,
  );
  const thing = t.thing();
  t.say(`${t.later()} ${t.who(friend)} ${t.verb("lose")} ${a(full(thing))} ${at(t.place())}`);
  const helps = trait !== "greedy";
  t.say(`${t.who(third)} ${t.verb("see")} it, but ${third.gender} ${t.not("help")}`);
  t.say(`${t.who(hero)} ${t.verb("see")} it too, and ${hero.gender} ${helps ? t.verb("help") : t.not("help")}`);
  t.speech(friend, `you are truly ${trait}, ${hero.name}`);
  t.speech(friend, `and you, ${third.name}, are ${hero.other}`);
  t.say(`${t.who(third)} ${t.verb("feel")} sorry and ${t.verb("promise")} to be ${trait} from now on`);
  recall(t, `who helped ${friend.name}?`, hero.name);
};

export const plots: readonly Plot[] = [lost, trade, journey, quarrel, theft, repair, party, lesson, choice];

/** A question about what came before, and its answer. */
function recall(t: Telling, question: string, answer: string): void {
  t.paragraph();
  if (t.chance(0.75)) t.say(`${capital(question)} ${capital(answer)}.`);
}

/** Home again, how the story ends. */
export function closing(t: Telling): void {
  const { hero, friend, weather } = t;
  t.say(
    `${t.later()} ${t.who(hero)} ${t.verb("sit")} ${placeNamed(hero.trade.place)} and ${t.verb("think")} of ${friend.name}`,
    `${weather.sky} ${t.verb("be")} over, and ${t.who(hero)} ${t.verb("go")} to sleep`,
    `from that day on ${t.both(hero, friend)} ${t.verb("meet", true)} every ${t.season}`,
  );
  t.say(moral(t.hero), "and that is the end of the story", `so ends the story of ${hero.name} the ${hero.trade.word}`);
  t.paragraph();
}

function moral(person: Person): string {
  return `it is good to be ${person.trait} and bad to be ${person.other}`;
}
