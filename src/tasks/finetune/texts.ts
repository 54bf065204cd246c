/** Texts, or pairs of them, as wholes: a class of each, or a value. */
import { byCodePoint } from "../../data/text/order.ts";
import { UserError } from "../../util/errors.ts";
import { type Json, printable } from "../../util/json.ts";
import { largestAt } from "../forward.ts";
import { encodeTexts } from "./examples.ts";
import type { Kind } from "./kind.ts";
import { type Metric, metrics } from "./metrics.ts";
import type { LossKind } from "./programs.ts";
import { type Example, readExamples } from "./table.ts";

interface Labels {
  readonly labels: number;
  readonly config: Json;
  of(label: string): number;
}

/** A label, and where it stands. */
type Labelled = Pick<Example, "label" | "where">;

function kindOf(
  loss: LossKind,
  own: Readonly<Record<string, Metric>>,
  labelsOf: (train: readonly Labelled[], validation: readonly Labelled[]) => Labels,
): Kind {
  return {
    ...{ head: "sequence", loss, pipeline: "text-classification", length: 128, metrics: Object.keys(own) },
    async load({ data }, encoding) {
      const train = await readExamples(data.train, data);
      const validation = await readExamples(data.validation, data);
      const { of, ...labels } = labelsOf(train, validation);
      const wanted = validation.map(({ label }) => of(label));
      return {
        ...labels,
        train: await encodeTexts(encoding, "training", train, (example) => of(example.label)),
        validation: await encodeTexts(encoding, "validation", validation, (example) => of(example.label)),
        score(logits) {
          const found = logits.map((each) => (loss === "values" ? each[0] : largestAt(each)));
          return Object.fromEntries(Object.entries(own).map(([name, of]) => [name, of(found, wanted)]));
        },
      };
    },
  };
}

const MOST_CLASSES = 1000;

/** Classes are those of the training part, as numbers in their order where all are numbers, else by code point. */
export function classesOf(train: readonly Labelled[], validation: readonly Labelled[]) {
  const found = [...new Set(train.map(({ label }) => label))];
  const numbers = found.every(isNumber);
  const names = found.sort((a, b) => (numbers ? Number(a) - Number(b) : byCodePoint(a, b)));
  if (names.length > MOST_CLASSES) {
    const wayOut = "name the column of the classes in `data.label`; values are a regression's";
    throw new UserError(`${names.length} different labels`, train[0].where, wayOut);
  }
  const numberOf = new Map(names.map((name, i) => [name, i]));
  const unknown = validation.find(({ label }) => !numberOf.has(label));
  if (unknown !== undefined) {
    const what = `the label \`${printable(unknown.label)}\` is in no training example`;
    throw new UserError(what, unknown.where, "mend the label, or give training examples of it");
  }
  const config = { id2label: { ...names }, label2id: Object.fromEntries(numberOf) };
  return { names, labels: names.length, config, of: (label: string) => numberOf.get(label) ?? 0 };
}

function isNumber(label: string): boolean {
  return label.trim() !== "" && Number.isFinite(Number(label));
}

export const classification = kindOf("classes", metrics.classification, (train, validation) => {
  const { labels, config, of } = classesOf(train, validation);
  return { labels, config: { problem_type: "single_label_classification", ...config }, of };
});

export const regression = kindOf("values", metrics.regression, (train, validation) => {
  const bad = [...train, ...validation].find(({ label }) => !isNumber(label));
  if (bad !== undefined) {
    throw new UserError(`\`${printable(bad.label)}\` is no number`, bad.where, "a regression's labels are numbers");
  }
  const config = { problem_type: "regression", id2label: { 0: "LABEL_0" }, label2id: { LABEL_0: 0 } };
  return { labels: 1, config, of: Number };
});
