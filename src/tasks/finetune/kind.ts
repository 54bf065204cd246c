/** What a kind of task is: what it reads, under which head and by which loss it is learned, how it is scored. One line in kinds.ts. */
import type { TaskKind } from "../../model/task-head.ts";
import type { Json, JsonValue } from "../../util/json.ts";
import type { Encoded, Encoding } from "./examples.ts";
import type { LossKind } from "./programs.ts";
import type { TaskSettings } from "./settings.ts";
import type { Cells, Columns } from "./table.ts";

/** A part of a task's data that is predicted. */
export interface Part {
  readonly examples: readonly Encoded[];
  /**
   * What is predicted of each row, in the file's order; each metric's value where all that is right is known.
   * @param logits of each example, [positions read · labels]
   */
  judge(logits: readonly Float32Array[]): {
    readonly items: readonly Json[];
    readonly scores?: Readonly<Record<string, number>>;
  };
}

/** A task's parts as a model takes them. */
export interface TaskData {
  /** How many logits the head makes. */
  readonly labels: number;
  /** What a config says of them. */
  readonly config: Json;
  readonly train: readonly Encoded[];
  readonly validation: Part;
  readonly test?: Part;
}

export interface Kind {
  readonly head: TaskKind;
  readonly loss: LossKind;
  /** As the Hub names it. */
  readonly pipeline: string;
  /** Tokens of an example at most, special ones included, where the task does not say. */
  readonly length: number;
  /** Its columns where the task names none. */
  readonly columns?: Pick<Columns, "text" | "label">;
  /** The first is the one that a model is judged by where none is named. */
  readonly metrics: readonly string[];
  /** @throws UserError naming the line of what does not fit */
  load(settings: TaskSettings, encoding: Encoding): Promise<TaskData>;
}

/** What is predicted of a row, and what is right: null where that is not known. */
export interface Found extends Json {
  readonly prediction: JsonValue;
  readonly gold: JsonValue;
}

type Scheme<Row, Example, Item> = Pick<TaskData, "labels" | "config"> & {
  /** @param part for messages */
  encode(encoding: Encoding, part: string, rows: readonly Row[]): Promise<readonly Example[]>;
  predict(rows: readonly Row[], examples: readonly Example[], logits: readonly Float32Array[]): readonly Item[];
  /** Each metric's value, of items whose gold is known. */
  score(items: readonly Item[]): Readonly<Record<string, number>>;
};

/** A kind from what is its own: its rows, and what follows from those of the parts that have labels. */
export function kindOf<Row extends Pick<Cells, "id">, Example extends Encoded, Item extends Found>({
  read,
  scheme,
  ...kind
}: Omit<Kind, "load"> & {
  /** @param labelled whether each row must have its label */
  read(path: string, data: Columns, labelled: boolean): Promise<readonly Row[]>;
  scheme(train: readonly Row[], validation: readonly Row[], settings: TaskSettings): Scheme<Row, Example, Item>;
}): Kind {
  return {
    ...kind,
    async load(settings, encoding) {
      const { data } = settings;
      const [train, validation] = [await read(data.train, data, true), await read(data.validation, data, true)];
      const test = data.test === undefined ? undefined : await read(data.test, data, false);
      const { labels, config, encode, predict, score } = scheme(train, validation, settings);
      const part = async (name: string, rows: readonly Row[]): Promise<Part> => {
        const examples = await encode(encoding, name, rows);
        const judge: Part["judge"] = (logits) => {
          const found = predict(rows, examples, logits);
          const items = found.map((one, item) => ({ item, id: rows[item].id ?? null, ...one }));
          return { items, scores: found.some(({ gold }) => gold === null) ? undefined : score(found) };
        };
        return { examples, judge };
      };
      return {
        ...{ labels, config, train: await encode(encoding, "training", train) },
        validation: await part("validation", validation),
        test: test && (await part("test", test)),
      };
    },
  };
}
