/**
 * Text from a causal model, token by token: the most probable each time, or drawn. Temperature, then the `topK` most
 * probable, then the fewest whose probabilities reach `topP`, as transformers' logits processors have them and in their
 * order. A draw depends on (seed, number of the prompt, number of the token) alone.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { generationConfigFile } from "../checkpoint/folder.ts";
import { fill } from "../data/tokenizer/template.ts";
import { UserError } from "../util/errors.ts";
import { type JsonValue, readJsonObject } from "../util/json.ts";
import { RandomStream } from "../util/random.ts";
import { bucketOf, largestAt, logitsAt, ranked } from "./forward.ts";
import { encodeFor, type LanguageModel, type UseOptions, withLanguageModel } from "./model.ts";

export interface SampleOptions extends UseOptions {
  /** Tokens to add at most; default 64. */
  readonly tokens?: number;
  /** 0, the default: always the most probable token. Where `topK` or `topP` is given the default is 1. */
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly seed?: number;
  /** Texts at which a sample ends; they are not part of it. */
  readonly stop?: readonly string[];
}

export interface Sample {
  readonly prompt: string;
  /** What was added. */
  readonly text: string;
  /** Ids that were added, the end's own left out. */
  readonly ids: readonly number[];
  /** `end`: the model ended it; `stop`: one of the texts came; `tokens`: so many were asked for; `room`: it takes no more. */
  readonly ended: "end" | "stop" | "tokens" | "room";
}

/** How far a prompt has come. */
interface State {
  readonly number: number;
  readonly prompt: readonly number[];
  ids: readonly number[];
  text: string;
  ended: Sample["ended"] | undefined;
}

/** Prompts that go on together, and the least length that is computed. */
const TOGETHER = 16;
const LEAST = 32;

/** @throws UserError if the model is not causal, or a prompt is longer than it takes */
export function sample(
  folder: string,
  prompts: readonly string[],
  options: SampleOptions = {},
): Promise<readonly Sample[]> {
  const only = { objective: "clm", wayOut: "`bert2bert fill-mask` is for masked models" } as const;
  return withLanguageModel(folder, options, (lm) => sampleFrom(lm, prompts, options), only);
}

async function sampleFrom(
  lm: LanguageModel,
  prompts: readonly string[],
  options: SampleOptions,
): Promise<readonly Sample[]> {
  const { tokens: most = 64, seed = 0, stop = [] } = options;
  const { positions, vocab } = lm.model.dimensions;
  const { bos, eos } = lm.tokenizer.info.special;
  const ends = await endsOf(lm);
  const where = (i: number) => `prompt ${i + 1}`;
  const encoded = await encodeFor(lm, prompts, where);
  const states = encoded.map((own, i): State => {
    const filled = fill(lm.template.single, { A: own }).ids;
    const first = bos ?? eos;
    const prompt = filled.length > 0 ? filled : first === undefined ? [] : [first];
    if (prompt.length === 0) throw new UserError("a prompt without any token", where(i), "give some text");
    if (prompt.length >= positions) {
      const what = `a prompt of ${prompt.length} tokens, and the model takes ${positions}, the next one's included`;
      throw new UserError(what, where(i), "give a shorter one");
    }
    return { number: i, prompt, ids: prompt, text: "", ended: undefined };
  });
  for (let start = 0; start < states.length; start += TOGETHER) {
    let going = states.slice(start, start + TOGETHER);
    for (; going.length > 0; going = going.filter(({ ended }) => ended === undefined)) {
      const longest = Math.max(LEAST, ...going.map(({ ids }) => ids.length));
      const shape = { batch: bucketOf(going.length, TOGETHER), length: bucketOf(longest, positions), wanted: 1 };
      const sequences = going.map(({ ids }) => ({ ids, at: [ids.length - 1] }));
      const logits = await logitsAt(lm, sequences, shape);
      for (const [row, state] of going.entries()) {
        const own = logits.subarray(row * vocab, (row + 1) * vocab);
        const random = new RandomStream(seed, "sample", state.number);
        const next = pick(own, options, () => random.uniform(state.ids.length - state.prompt.length));
        if (ends.has(next)) {
          state.ended = "end";
          continue;
        }
        state.ids = [...state.ids, next];
        state.text = await textAfter(lm, state.prompt, state.ids);
        const found = stop.map((text) => state.text.indexOf(text)).filter((at) => at >= 0);
        if (found.length > 0) {
          state.text = state.text.slice(0, Math.min(...found));
          state.ended = "stop";
        } else if (state.ids.length - state.prompt.length >= most) state.ended = "tokens";
        else if (state.ids.length >= positions) state.ended = "room";
      }
    }
  }
  return states.map(({ prompt, ids, text, ended = "tokens" }, i) => {
    return { prompt: prompts[i], text, ids: ids.slice(prompt.length), ended };
  });
}

/** The text of the ids that follow a prompt, as it stands after the prompt's; special tokens left out. */
async function textAfter(
  { tokenizer }: LanguageModel,
  prompt: readonly number[],
  ids: readonly number[],
): Promise<string> {
  const special = new Set(tokenizer.info.specialIds);
  const plain = (some: readonly number[]) => tokenizer.decode(some.filter((id) => !special.has(id)));
  const [before, all] = [await plain(prompt), await plain(ids)];
  return all.startsWith(before) ? all.slice(before.length) : plain(ids.slice(prompt.length));
}

/** The ids that end a text: generation_config.json's, else config.json's, else the tokenizer's. */
async function endsOf({ folder, model, tokenizer }: LanguageModel): Promise<ReadonlySet<number>> {
  const path = join(folder, generationConfigFile);
  const own: JsonValue | undefined = existsSync(path) ? (await readJsonObject(path)).eos_token_id : undefined;
  const said = own ?? model.config.eos_token_id ?? tokenizer.info.special.eos ?? [];
  return new Set((Array.isArray(said) ? said : [said]).map(Number));
}

/** @param draw uniform over [0, 1) */
export function pick(logits: ArrayLike<number>, options: SampleOptions, draw: () => number): number {
  const { topK, topP } = options;
  const temperature = options.temperature ?? (topK === undefined && topP === undefined ? 0 : 1);
  if (temperature === 0) return largestAt(logits);
  const tokens = ranked(logits, temperature);
  const sum = (some: typeof tokens) => some.reduce((all, { probability }) => all + probability, 0);
  // Those as probable as the last of the `topK` stay too.
  const least = tokens[Math.min(topK ?? tokens.length, tokens.length) - 1].probability;
  let kept = tokens.filter(({ probability }) => probability >= least);
  if (topP !== undefined) {
    const most = topP * sum(kept);
    let before = 0;
    kept = kept.filter(({ probability }, i) => {
      const stays = i === 0 || before < most;
      before += probability;
      return stays;
    });
  }
  let left = draw() * sum(kept);
  for (const { id, probability } of kept) {
    left -= probability;
    if (left < 0) return id;
  }
  return kept[kept.length - 1].id;
}
