/**
 * Classes of words: parts of speech, names. A word's label is its first token's, as in transformers' run_ner.py. Rows with
 * lists of words and of labels (JSON Lines, Parquet, Arrow), or columns of a word a line, a blank line between sentences,
 * as CoNLL's files have them.
 */
import { addedBy, fill } from "../../data/tokenizer/template.ts";
import { UserError } from "../../util/errors.ts";
import type { JsonValue } from "../../util/json.ts";
import { largestAt, probabilities } from "../forward.ts";
import { encodeFor } from "../model.ts";
import { type Encoded, type Encoding, noteCut } from "./examples.ts";
import { kindOf } from "./kind.ts";
import { accuracy } from "./metrics.ts";
import { type Cells, type Columns, readRows } from "./table.ts";
import { classesOf } from "./texts.ts";

interface Sentence extends Pick<Cells, "id" | "where"> {
  readonly words: readonly string[];
  /** Absent: none are known. */
  readonly labels?: readonly string[];
}

/** @throws UserError naming what does not fit */
async function readSentences(path: string, data: Columns, labelled: boolean): Promise<readonly Sentence[]> {
  const own = (text: string, isJson: boolean) => (isJson ? undefined : sentencesOf(text, path, data, labelled));
  const listOf = (cell: JsonValue) => (Array.isArray(cell) ? cell.map(String) : []);
  return (await readRows(path, data, labelled, own)).map(({ texts, label, id, where }) => {
    const words = listOf(texts[0]);
    const labels = label === undefined ? undefined : listOf(label);
    if (words.length > 0 && (labels ?? words).length === words.length) return { words, labels, id, where };
    const what = `${words.length} words and ${labels?.length} labels`;
    throw new UserError(what, where, "give a list of words, and one of as many labels");
  });
}

/** Columns, parted by tabs where there are some, else by blanks. */
function sentencesOf(text: string, path: string, { text: [word], label }: Columns, labelled: boolean): Cells[] {
  if (typeof word === "string" || typeof label === "string") {
    const wayOut = "give their numbers, from 1, in `data.text` and `data.label`";
    throw new UserError("columns go by name, and a file of a word a line has no header", path, wayOut);
  }
  const parts = text.includes("\t") ? "\t" : /\s+/;
  const sentences: Cells[] = [];
  let [words, labels]: [string[], string[]] = [[], []];
  for (const [i, line] of `${text}\n\n`.split(/\r?\n/).entries()) {
    // Comments of CoNLL-U; what parts documents in CoNLL-2003.
    if (line.startsWith("-DOCSTART-") || (parts === "\t" && line.startsWith("#") && !line.includes("\t"))) continue;
    if (line.trim() !== "") {
      const cells = line.split(parts);
      const lacking = [word, ...(labelled ? [label] : [])].find((column) => column > cells.length);
      if (lacking !== undefined) {
        const what = `${cells.length} columns, and the ${lacking}. is wanted`;
        throw new UserError(what, `${path}:${i + 1}`, "mend the line, or name other columns in `data`");
      }
      words.push(cells[word - 1]);
      if (label <= cells.length) labels.push(cells[label - 1]);
    } else if (words.length > 0) {
      sentences.push({
        texts: [words],
        label: labels.length > 0 ? labels : undefined,
        where: `${path}:${i + 1 - words.length}`,
      });
      [words, labels] = [[], []];
    }
  }
  return sentences;
}

interface EncodedSentence extends Encoded {
  /** The words that stand at the positions read. */
  readonly kept: readonly number[];
}

/** Each word as it stands after a blank. @param of a label's number */
async function encodeSentences(
  { template: { single }, most, note, ...own }: Encoding,
  part: string,
  sentences: readonly Sentence[],
  of: (label: string) => number | undefined,
): Promise<readonly EncodedSentence[]> {
  const texts = sentences.flatMap(({ words }) => words.map((word) => word.replace(/^(?=[^ ])/, " ")));
  const wheres = sentences.flatMap(({ words, where }) => words.map(() => where));
  const encoded = await encodeFor(own, texts, (i) => wheres[i]);
  const room = most - addedBy(single);
  let [next, cut] = [0, 0];
  const all = sentences.map(({ words, labels = [] }): EncodedSentence => {
    const A: number[] = [];
    const [at, kept]: [number[], number[]] = [[], []];
    for (const n of words.keys()) {
      const word = encoded[next++];
      // A word without any token has no label, nor has one that is cut off.
      if (word.length > 0 && A.length < room) {
        at.push(A.length);
        kept.push(n);
      }
      A.push(...word);
    }
    if (A.length > room) cut++;
    const { starts, ids, types } = fill(single, { A: A.slice(0, room) });
    return {
      ids,
      types,
      at: at.map((first) => starts.A + first),
      kept,
      labels: kept.flatMap((n) => of(labels[n]) ?? []),
    };
  });
  noteCut(note, cut, all.length, part, most);
  return all;
}

/**
 * The entities of sentences, as seqeval's `get_entities` finds them by default: prefixes B, I, E, S before a type; labels
 * that fit no scheme are read as kindly as conlleval reads them. @returns "type from to" each
 */
function entitiesOf(sentences: readonly (readonly string[])[]): ReadonlySet<string> {
  const entities = new Set<string>();
  let [before, type, begin] = ["O", "_", 0];
  for (const [i, label] of sentences.flatMap((labels) => [...labels, "O"]).entries()) {
    const now = label.charAt(0);
    const own = label.slice(1).replace(/^.*?-/s, "") || "_";
    const other = own !== type;
    const ends = /[ES]/.test(before) || (/[BI]/.test(before) && /[BSO]/.test(now)) || (!/[O.]/.test(before) && other);
    if (ends) entities.add(`${type} ${begin} ${i - 1}`);
    if (/[BS]/.test(now) || (/[EI]/.test(now) && /[ESO]/.test(before)) || (!/[O.]/.test(now) && other)) begin = i;
    [before, type] = [now, own];
  }
  return entities;
}

/** F1 over the entities of all sentences (seqeval's `f1_score`); 0 where there are none. */
export function entityF1(found: readonly (readonly string[])[], wanted: readonly (readonly string[])[]): number {
  const [a, b] = [entitiesOf(found), entitiesOf(wanted)];
  const both = [...a].filter((entity) => b.has(entity)).length;
  return both === 0 ? 0 : (2 * both) / (a.size + b.size);
}

export const tokenClassification = kindOf({
  ...{ head: "tokens", loss: "classes", pipeline: "token-classification", length: 128, metrics: ["accuracy", "f1"] },
  columns: { text: ["tokens"], label: "ner_tags" },
  read: readSentences,
  scheme(train, validation) {
    const each = (all: readonly Sentence[]) =>
      all.flatMap(({ labels = [], where }) => labels.map((label) => ({ label, where })));
    const { names, labels: count, config, of } = classesOf(each(train), each(validation));
    return {
      ...{ labels: count, config },
      encode: (encoding, part, rows) => encodeSentences(encoding, part, rows, of),
      /** null where a word was not read. */
      predict: (rows, examples, logits) =>
        rows.map(({ words, labels }, i) => {
          const prediction = words.map((): string | null => null);
          const shares = words.map((): number | null => null);
          examples[i].kept.forEach((n, j) => {
            const own = logits[i].subarray(j * count, (j + 1) * count);
            const best = largestAt(own);
            [prediction[n], shares[n]] = [names[best], probabilities(own)[best]];
          });
          const gold = labels?.every((label) => of(label) !== undefined) === true ? labels : null;
          return { prediction, probabilities: shares, gold };
        }),
      score(items) {
        const pairs = items.map(({ prediction, gold }) =>
          prediction.flatMap((one, n) => (one === null ? [] : [[one, gold?.[n] ?? ""]])),
        );
        const [found, wanted] = [0, 1].map((side) => pairs.map((own) => own.map((pair) => pair[side])));
        return { accuracy: accuracy(found.flat(), wanted.flat()), f1: entityF1(found, wanted) };
      },
    };
  },
});
