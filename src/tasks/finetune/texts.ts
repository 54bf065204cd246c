/** Texts, or pairs of them, as wholes: a class of each, or a value. */
import { byCodePoint } from "../../data/text/order.ts";
import { UserError } from "../../util/errors.ts";
import { type Json, type JsonValue, printable } from "../../util/json.ts";
import { largestAt, probabilities } from "../forward.ts";
import { encodeTexts } from "./examples.ts";
import { type Found, type Kind, kindOf } from "./kind.ts";
import { type Metric, metrics } from "./metrics.ts";
import type { LossKind } from "./programs.ts";
import { type Cells, readExamples } from "./table.ts";

interface Labels {
  readonly labels: number;
  readonly config: Json;
  /** undefined: it is none of them. */
  of(label: JsonValue | undefined): number | undefined;
  /** What logits say. */
  said(logits: Float32Array): Json & Pick<Found, "prediction">;
}

/** A label, and where it stands. */
type Labelled = Pick<Cells<string>, "label" | "where">;

function textsKind(
  loss: LossKind,
  own: Readonly<Record<string, Metric>>,
  labelsOf: (train: readonly Labelled[], validation: readonly Labelled[]) => Labels,
): Kind {
  return kindOf({
    ...{ head: "sequence", loss, pipeline: "text-classification", length: 128, metrics: Object.keys(own) },
    read: readExamples,
    scheme(train, validation) {
      const { of, said, ...labels } = labelsOf(train, validation);
      return {
        ...labels,
        encode: (encoding, part, rows) => encodeTexts(encoding, part, rows, ({ label }) => of(label)),
        predict: (rows, _, logits) =>
          rows.map(({ label }, i) => {
            const right = of(label);
            return {
              ...said(logits[i]),
              gold: right === undefined ? null : loss === "values" ? right : (label ?? null),
            };
          }),
        score(items) {
          const [found, wanted] = (["prediction", "gold"] as const).map((key) =>
            items.map((item) => of(item[key]) ?? Number.NaN),
          );
          return Object.fromEntries(Object.entries(own).map(([name, of]) => [name, of(found, wanted)]));
        },
      };
    },
  });
}

const MOST_CLASSES = 1000;

/** Classes are those of the training part, as numbers in their order where all are numbers, else by code point. */
export function classesOf(train: readonly Labelled[], validation: readonly Labelled[]) {
  const found = [...new Set(train.map(({ label = "" }) => label))];
  const numbers = found.every(isNumber);
  const names = found.sort((a, b) => (numbers ? Number(a) - Number(b) : byCodePoint(a, b)));
  if (names.length > MOST_CLASSES) {
    const wayOut = "name the column of the classes in `data.label`; values are a regression's";
    throw new UserError(`${names.length} different labels`, train[0].where, wayOut);
  }
  const numberOf = new Map<JsonValue | undefined, number>(names.map((name, i) => [name, i]));
  const unknown = validation.find(({ label }) => !numberOf.has(label));
  if (unknown !== undefined) {
    const what = `the label \`${printable(unknown.label ?? "")}\` is in no training example`;
    throw new UserError(what, unknown.where, "mend the label, or give training examples of it");
  }
  const config = { id2label: { ...names }, label2id: Object.fromEntries(names.map((name, i) => [name, i])) };
  return { names, labels: names.length, config, of: (label: JsonValue | undefined) => numberOf.get(label) };
}

function isNumber(label: string): boolean {
  return label.trim() !== "" && Number.isFinite(Number(label));
}

export const classification = textsKind("classes", metrics.classification, (train, validation) => {
  const { names, labels, config, of } = classesOf(train, validation);
  const said = (logits: Float32Array) => {
    const shares = probabilities(logits);
    return {
      prediction: names[largestAt(logits)],
      probabilities: Object.fromEntries(names.map((name, i) => [name, shares[i]])),
    };
  };
  return { labels, config: { problem_type: "single_label_classification", ...config }, of, said };
});

export const regression = textsKind("values", metrics.regression, (train, validation) => {
  const bad = [...train, ...validation].find(({ label = "" }) => !isNumber(label));
  if (bad !== undefined) {
    const what = `\`${printable(bad.label ?? "")}\` is no number`;
    throw new UserError(what, bad.where, "a regression's labels are numbers");
  }
  const config = { problem_type: "regression", id2label: { 0: "LABEL_0" }, label2id: { LABEL_0: 0 } };
  const of = (label: JsonValue | undefined) => (isNumber(String(label ?? "")) ? Number(label) : undefined);
  return { labels: 1, config, of, said: ([prediction]) => ({ prediction }) };
});
