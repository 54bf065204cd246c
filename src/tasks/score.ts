/**
 * How probable texts are to a language model. Causal models: the sum of the log-probabilities of a text's tokens, each
 * given what stands before it. Masked models: the pseudo-log-likelihood, each token masked in turn and given all others
 * (Salazar et al., "Masked Language Model Scoring", ACL 2020, equation 1).
 *
 * Tokens, contexts and what is cut off are those of EleutherAI's lm-evaluation-harness 0.4 (TemplateLM.loglikelihood,
 * HFLM._loglikelihood_tokens, utils.get_rolling_token_windows): a text without a context follows the tokenizer's first
 * token (bos, else eos), spaces at a context's end belong to what follows, a context too long loses its beginning.
 */
import { fill } from "../data/tokenizer/template.ts";
import { argmax, constant, crossEntropy, equal, gather, reshape, sub } from "../program/ops/index.ts";
import { UserError } from "../util/errors.ts";
import { bucketOf, inputsAt, programAt, type Shape } from "./forward.ts";
import { encodeFor, firstOf, type LanguageModel, maskOf, room } from "./model.ts";

/** A text to be scored after a context, which may be empty. */
export interface Request {
  readonly context: string;
  readonly text: string;
  /** For messages. */
  readonly where: string;
}

export interface Score {
  /** In nats. */
  readonly logprob: number;
  /** How many tokens were scored. */
  readonly tokens: number;
  /** Whether each of them was the most probable. */
  readonly greedy: boolean;
}

/** A sequence whose tokens at some positions are scored. */
interface Row {
  readonly ids: readonly number[];
  readonly at: readonly number[];
  readonly labels: readonly number[];
  /** Of the request or document it is part of. */
  readonly of: number;
}

/** The last `scored` of these ids, each read from what stands before it. */
function endOf(ids: readonly number[], scored: number, of: number): Row {
  const labels = ids.slice(-scored);
  return { ids: ids.slice(0, -1), at: labels.map((_, i) => ids.length - 1 - scored + i), labels, of };
}

/** Tokens of a batch, and numbers of its logits, at most. */
const TOKENS = 2 ** 12;
const LOGITS = 2 ** 25;
/** Texts that are held as ids at once. */
const AT_ONCE = 2 ** 14;

export interface ScorerOptions {
  /** Tokens that a document's window reads; default all that the model takes. */
  readonly window?: number;
  /** Tokens that each window after the first scores anew; default all of it. */
  readonly stride?: number;
  readonly progress?: (done: number, all: number) => void;
}

export class Scorer {
  readonly lm: LanguageModel;
  readonly #options: ScorerOptions;
  readonly #most: number;

  /** @throws UserError if window or stride do not fit the model */
  constructor(lm: LanguageModel, options: ScorerOptions) {
    this.lm = lm;
    this.#options = options;
    this.#most = lm.model.dimensions.positions;
    const { window = this.#most, stride = window } = options;
    if (window > this.#most) {
      throw new UserError(`a window of ${window} tokens, and the model takes ${this.#most}`, "--window", "give less");
    }
    if (stride > window) throw new UserError(`${stride} is more than the window's ${window}`, "--stride", "give less");
  }

  /** @throws UserError for a text without tokens, or longer than the model takes */
  async likelihoods(requests: readonly Request[]): Promise<readonly Score[]> {
    const scores: Score[] = [];
    for (let start = 0; start < requests.length; start += AT_ONCE) {
      const some = requests.slice(start, start + AT_ONCE);
      const encoded = (textOf: (request: Request) => string) =>
        encodeFor(this.lm, some.map(textOf), (i) => some[i].where);
      const wholes = await encoded(({ context, text }) => context + text);
      const contexts = await encoded(({ context }) => context.trimEnd());
      const rows = some.flatMap(({ where }, i) =>
        this.lm.causal
          ? this.#causal(wholes[i], contexts[i], i, where)
          : this.#masked(wholes[i], contexts[i], i, where),
      );
      scores.push(...(await this.#score(rows, some.length)));
      this.#options.progress?.(scores.length, requests.length);
    }
    return scores;
  }

  /** Each text alone, in windows: of one that is longer, each after the first reads what fits before what it scores. */
  async documents(texts: readonly string[], where: (text: number) => string): Promise<readonly Score[]> {
    const { window = this.#most, stride = window } = this.#options;
    const encoded = await encodeFor(this.lm, texts, where);
    const rows = encoded.flatMap((own, of) => {
      const ids = [firstOf(this.lm), ...fill(this.lm.template.single, { A: own }).ids];
      const windows: Row[] = [];
      for (let from = 1, to = window + 1; from < ids.length; from = to, to += stride) {
        to = Math.min(to, ids.length);
        windows.push(endOf(ids.slice(Math.max(0, to - window - 1), to), to - from, of));
      }
      return windows;
    });
    return this.#score(rows, texts.length);
  }

  #causal(whole: Uint32Array, context: Uint32Array, of: number, where: string): readonly Row[] {
    const ids = (text: Uint32Array) =>
      context.length > 0 ? fill(this.lm.template.single, { A: text }).ids : [...text];
    const first = context.length > 0 ? [] : [firstOf(this.lm)];
    const all = whole[0] === first[0] ? ids(whole) : [...first, ...ids(whole)];
    const scored = all.length - (first.length + ids(context).length);
    this.#check(scored, this.#most, where);
    return [endOf(all.slice(-(this.#most + 1)), scored, of)];
  }

  #masked(whole: Uint32Array, context: Uint32Array, of: number, where: string): readonly Row[] {
    const mask = maskOf(this.lm);
    const scored = whole.length - context.length;
    const most = room(this.lm);
    this.#check(scored, most, where);
    const { ids, starts } = fill(this.lm.template.single, { A: whole.subarray(-most) });
    const end = starts.A + Math.min(whole.length, most);
    return Array.from({ length: scored }, (_, i) => {
      const at = end - scored + i;
      return { ids: ids.with(at, mask), at: [at], labels: [ids[at]], of };
    });
  }

  #check(scored: number, most: number, where: string): void {
    if (scored < 1) throw new UserError("a text without any token", where, "leave it out");
    if (scored <= most) return;
    const what = `a text of ${scored} tokens, and the model takes ${most}`;
    throw new UserError(what, where, "leave it out: what stands before a text is cut where need be, the text is not");
  }

  /** Rows of like sizes together. */
  async #score(rows: readonly Row[], count: number): Promise<readonly Score[]> {
    const { model } = this.lm;
    const scores = Array.from({ length: count }, () => ({ logprob: 0, tokens: 0, greedy: true }));
    const groups = new Map<string, Row[]>();
    for (const row of rows) {
      const length = bucketOf(row.ids.length, this.#most);
      const key = `${length}/${bucketOf(row.at.length, length)}`;
      const group = groups.get(key) ?? [];
      group.push(row);
      groups.set(key, group);
    }
    for (const [key, group] of groups) {
      const [length, wanted] = key.split("/").map(Number);
      const most = Math.max(1, Math.floor(Math.min(TOKENS / length, LOGITS / (wanted * model.dimensions.vocab))));
      // Batches of one size, so that hardly any sequence fills up.
      const batch = Math.ceil(group.length / Math.ceil(group.length / most));
      const shape: Shape = { batch, length, wanted };
      const program = programAt(this.lm, shape, (b, logits) => {
        const [n, vocab] = logits.shape;
        const labels = b.input("labels", [n], "i32", batch);
        const { logsumexp } = crossEntropy(b, logits, labels, constant(b, 1, [n]));
        const flat = gather(b, reshape(b, logits, [n * vocab, 1]), b.input("places", [n], "i32", batch));
        b.output("logprobs", sub(b, reshape(b, flat, [n]), logsumexp));
        b.output("greedy", equal(b, argmax(b, logits), labels));
      });
      const executable = await this.lm.engine.compile(program);
      for (let start = 0; start < group.length; start += batch) {
        const some = group.slice(start, start + batch);
        const labels = new Int32Array(batch * wanted);
        some.forEach((row, i) => {
          labels.set(row.labels, i * wanted);
        });
        const places = labels.map((label, i) => i * model.dimensions.vocab + label);
        const found = await executable.run({ ...inputsAt(model, some, shape), labels, places });
        some.forEach((row, i) => {
          const score = scores[row.of];
          row.labels.forEach((_, j) => {
            score.logprob += found.logprobs[i * wanted + j];
            score.tokens++;
            score.greedy &&= found.greedy[i * wanted + j] === 1;
          });
        });
      }
      await executable.release();
    }
    return scores;
  }
}
