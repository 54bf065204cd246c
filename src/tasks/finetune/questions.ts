/**
 * Extractive question answering: where in a context an answer begins and ends. SQuAD's own JSON (Rajpurkar et al. 2016, and
 * 2018 with questions that have no answer), or rows of question, context and answers as `datasets` has them. Windows,
 * labels and the choice among beginnings and ends are those of transformers' run_qa.py, the scores those of SQuAD's script.
 */
import { z } from "zod";
import { addedBy, fill } from "../../data/tokenizer/template.ts";
import type { PlacedIds } from "../../data/tokenizer/tokenizer.ts";
import { UserError } from "../../util/errors.ts";
import { type Json, parseJson, printable } from "../../util/json.ts";
import { probabilities } from "../forward.ts";
import { checkKnown, encodeFor } from "../model.ts";
import type { Encoded, Encoding } from "./examples.ts";
import { kindOf } from "./kind.ts";
import { total } from "./metrics.ts";
import { type Cells, type Columns, readRows } from "./table.ts";

/** `questions` in TASK.yaml, with the defaults of run_qa.py. */
export const questionKeys = z.strictObject({
  /** Tokens that two windows of a context share; default 128, a third of `length` at most. */
  stride: z.int().min(0).optional(),
  /** Beginnings, and ends, that are tried, the most probable first. */
  n_best: z.int().min(1).default(20),
  /** Tokens of an answer at most. */
  longest: z.int().min(1).default(30),
  /** By how much having no answer must be the more probable. */
  null_threshold: z.number().default(0),
});

interface Question extends Pick<Cells, "id" | "where"> {
  readonly question: string;
  readonly context: string;
  /** Absent: none are known. */
  readonly answers?: readonly { readonly text: string; readonly answer_start: number }[];
}

const answers = z.array(z.object({ text: z.string(), answer_start: z.number() }));
/** As `datasets` keeps them. */
const listed = z
  .object({ text: z.array(z.string()), answer_start: z.array(z.number()) })
  .transform(({ text, answer_start }) => text.map((one, i) => ({ text: one, answer_start: answer_start[i] ?? 0 })));
const row = z.object({ question: z.string(), context: z.string(), answers: z.union([answers, listed]).optional() });
const asked = z.object({ id: z.coerce.string(), question: z.string(), answers: answers.optional() });
const paragraph = z.object({ context: z.string(), qas: z.array(asked) });
const squad = z.object({ data: z.array(z.object({ paragraphs: z.array(paragraph) })) });

function checked<T>(schema: z.ZodType<T>, value: unknown, where: string, wayOut: string): T {
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const [{ path, message }] = read.error.issues;
  throw new UserError(`no questions as SQuAD has them (${printable(path.join("."))}: ${message})`, where, wayOut);
}

/** @throws UserError naming what does not fit */
async function readQuestions(path: string, data: Columns, labelled: boolean): Promise<readonly Question[]> {
  const rows = await readRows(path, data, labelled, (text) => {
    if (!/^\s*\{\s*"(?:data|version)"\s*:/.test(text)) return undefined;
    const { data: articles } = checked(squad, parseJson(text, path), path, "get it anew");
    const paragraphs = articles.flatMap((article) => article.paragraphs);
    return paragraphs.flatMap(({ context, qas }) =>
      qas.map(({ id, question, answers = labelled ? [] : undefined }) => {
        return { texts: [question, context], label: answers, id, where: `${path}, question ${printable(id)}` };
      }),
    );
  });
  const wayOut = "name the columns of question and context in `data.text`, that of the answers in `data.label`";
  return rows.map(({ texts: [question, context], label, id, where }) => {
    return { ...checked(row, { question, context, answers: label }, where, wayOut), id, where };
  });
}

/** A part of a context with its question. */
interface Window extends Encoded {
  /** Of the question, from 0. */
  readonly of: number;
  /** Where the context's part begins in it, and where its tokens stand in the context. */
  readonly first: number;
  readonly places: PlacedIds["places"];
}

/** Contexts that are encoded together. */
const AT_ONCE = 256;

async function windowsOf(
  { model, tokenizer, template: { pair }, most }: Encoding,
  questions: readonly Question[],
  stride = Math.min(128, Math.floor(most / 3)),
): Promise<readonly Window[]> {
  const where = (i: number) => questions[i].where;
  const texts = questions.map(({ question }) => question.trimStart());
  const encoded = await encodeFor({ model, tokenizer }, texts, where);
  const contexts = new Map(questions.map(({ context }, i) => [context, i]));
  const placed = new Map<string, PlacedIds>();
  for (let list = [...contexts.keys()]; list.length > 0; list = list.slice(AT_ONCE)) {
    for (const [i, one] of (await tokenizer.encodeWithPlaces(list.slice(0, AT_ONCE))).entries()) {
      checkKnown(model, one.ids, where(contexts.get(list[i]) ?? 0));
      placed.set(list[i], one);
    }
  }
  const { cls, bos } = tokenizer.info.special;
  return questions.flatMap(({ context, answers = [] }, of) => {
    const A = encoded[of];
    const { ids, places } = placed.get(context) ?? { ids: [], places: [] };
    const room = most - addedBy(pair) - A.length;
    if (room <= stride) {
      const what = `a question of ${A.length} tokens leaves ${Math.max(0, room)} for its context, and windows share ${stride}`;
      throw new UserError(what, where(of), "raise `length`, or lower `questions.stride`");
    }
    const windows: Window[] = [];
    for (let from = 0, to = 0; from === 0 || to < ids.length; from += room - stride) {
      to = Math.min(from + room, ids.length);
      const { starts, ...filled } = fill(pair, { A, B: ids.slice(from, to) });
      const own = { first: starts.B, places: places.slice(from, to) };
      const nowhere = Math.max(0, filled.ids.indexOf(cls ?? bos ?? -1));
      windows.push({ ...filled, ...own, of, labels: spanOf(answers[0], own) ?? [nowhere, nowhere] });
    }
    return windows;
  });
}

/** The tokens with which an answer begins and ends; undefined where it is not all inside. */
function spanOf(
  answer: z.infer<typeof answers>[number] | undefined,
  { first, places }: Pick<Window, "first" | "places">,
) {
  if (answer === undefined || places.length === 0) return undefined;
  const { answer_start: start } = answer;
  const end = start + [...answer.text].length;
  if (places[0][0] > start || places[places.length - 1][1] < end) return undefined;
  return [first + places.findLastIndex(([from]) => from <= start), first + places.findIndex(([, to]) => to >= end)];
}

/** Answers that are listed of a question at most. */
const LISTED = 100;

interface Answer extends Json {
  /** "": there is none. */
  readonly text: string;
  /** The sum of its two logits. */
  readonly score: number;
  /** Where it begins in the context; null where there is none. */
  readonly start: number | null;
}

/** What may answer a question, the most probable first, and how probable it is that nothing does. */
function answersTo(
  { context }: Question,
  windows: readonly { readonly window: Window; readonly logits: Float32Array }[],
  { n_best, longest }: z.infer<typeof questionKeys>,
  most: number,
): { readonly found: readonly Answer[]; readonly none: number } {
  const spans: { readonly score: number; readonly start: number; readonly to: number }[] = [];
  for (const { window, logits } of windows) {
    const { ids, first, places } = window;
    const likely = (side: number) =>
      [...ids.keys()].sort((a, b) => logits[2 * b + side] - logits[2 * a + side]).slice(0, n_best);
    const ends = likely(1);
    for (const start of likely(0)) {
      for (const end of ends) {
        const [from, to] = [places[start - first]?.[0], places[end - first]?.[1]];
        if (from === undefined || to === undefined || end < start || end - start >= longest || to <= from) continue;
        spans.push({ score: logits[2 * start] + logits[2 * end + 1], start: from, to });
      }
    }
  }
  const characters = [...context];
  const best = spans.sort((a, b) => b.score - a.score).slice(0, most);
  return {
    found: best.map(({ to, ...span }) => ({ text: characters.slice(span.start, to).join(""), ...span })),
    none: Math.min(...windows.map(({ logits }) => logits[0] + logits[1])),
  };
}

const PUNCTUATION = /[!-/:-@[-`{-~]/g;
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** Words as SQuAD's script compares them. */
function wordsOf(text: string): readonly string[] {
  const plain = text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLES, " ");
  return plain.split(/\p{White_Space}+/u).filter((word) => word !== "");
}

/**
 * @param wanted texts of the right answers, none: there is no answer
 * @param mayHaveNone whether as version 2 of the script has it: an answer without words is no answer
 */
export function answerScores(found: string, wanted: readonly string[], mayHaveNone: boolean) {
  const words = wordsOf(found);
  const all = wanted.map(wordsOf).filter((one) => !mayHaveNone || one.length > 0);
  const scores = (all.length === 0 ? [[]] : all).map((right) => {
    const left = [...right];
    const both = words.filter((word) => left.includes(word) && left.splice(left.indexOf(word), 1)).length;
    const exact = Number(words.join(" ") === right.join(" "));
    const empty = words.length === 0 || right.length === 0;
    return { exact, f1: empty ? (mayHaveNone ? exact : 0) : (2 * both) / (words.length + right.length) };
  });
  return { exact_match: Math.max(...scores.map(({ exact }) => exact)), f1: Math.max(...scores.map(({ f1 }) => f1)) };
}

export const questionAnswering = kindOf({
  ...{ head: "spans", loss: "spans", pipeline: "question-answering", length: 384, metrics: ["f1", "exact_match"] },
  columns: { text: ["question", "context"], label: "answers" },
  read: readQuestions,
  scheme(train, validation, { questions: given = questionKeys.parse({}) }) {
    const mayHaveNone = [...train, ...validation].some(({ answers }) => answers?.length === 0);
    return {
      labels: 2,
      config: { id2label: { 0: "LABEL_0", 1: "LABEL_1" }, label2id: { LABEL_0: 0, LABEL_1: 1 } },
      encode: (encoding, _, rows) => windowsOf(encoding, rows, given.stride),
      predict(rows, windows, logits) {
        const most = Math.min(given.n_best, LISTED);
        const own = rows.map((): { window: Window; logits: Float32Array }[] => []);
        for (const [i, window] of windows.entries()) own[window.of].push({ window, logits: logits[i] });
        return rows.map((question, of) => {
          const { found, none } = answersTo(question, own[of], given, most);
          const nothing: Answer = { text: "", score: none, start: null };
          const isNone = found.length === 0 || (mayHaveNone && none - found[0].score > given.null_threshold);
          const all = [...found, ...(mayHaveNone || found.length === 0 ? [nothing] : [])];
          // As run_qa.py lists them: so many, and no answer beside them.
          const listed = all.sort((a, b) => b.score - a.score).filter(({ start }, i) => i < most || start === null);
          const shares = probabilities(listed.map(({ score }) => score));
          return {
            prediction: isNone ? "" : found[0].text,
            null_score: none,
            answers: listed.map((one, i) => ({ ...one, probability: shares[i] })),
            gold: question.answers?.map(({ text }) => text) ?? null,
          };
        });
      },
      score(items) {
        const scores = items.map(({ prediction, gold }) => answerScores(prediction, gold ?? [], mayHaveNone));
        const mean = (key: "f1" | "exact_match") => total(scores.map((one) => one[key])) / scores.length;
        return { f1: mean("f1"), exact_match: mean("exact_match") };
      },
    };
  },
});
