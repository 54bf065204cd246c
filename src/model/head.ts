/**
 * A language-model head for a model that has none: BertModel, a sentence encoder, a classifier.
 *
 * The architecture's own head of the model's size, drawn as transformers draws it and tied to the embeddings; all else
 * stays, but for a pooler, which no class holds beside a language model alone. Where the head is nothing but the
 * embeddings (GPT-2) nothing is drawn.
 */
import { UserError } from "../util/errors.ts";
import type { Model } from "./architecture.ts";
import { classOf } from "./classes.ts";
import { initialise } from "./init.ts";
import type { OpenModel } from "./load.ts";
import { has, OUTPUTS, type Outputs, type Parameter } from "./table.ts";

/** What a model without the head is told, as the end of a sentence. */
export const headWayOut =
  "draw one with `bert2bert grow … --add-head`, or with `add-head: true` beside `from` in a run";

/** The outputs of the model with a language-model head. @param where for messages @throws UserError if it has one already */
export function outputsWithLanguageModel({ architecture, outputs, config }: Model, where: string): Outputs {
  if (outputs.lm !== "none") throw new UserError("it has a language-model head already", where, "leave add-head out");
  const present = OUTPUTS.filter((output) => output === "lm" || has(outputs, output));
  const found = classOf(
    architecture.classes.filter((known) => known.outputs.includes("lm")),
    present,
  );
  if (found === undefined) throw new Error(`no class of ${architecture.type} has a language-model head alone`);
  const all: Outputs = { lm: "tied", pooler: found.outputs.includes("pooler"), nsp: found.outputs.includes("nsp") };
  // Whether it is tied is the config's to say.
  return architecture.model(config, where, all).outputs;
}

function counterpart(model: Model, parameter: Parameter): Parameter | undefined {
  return model.parameters.find((own) => own.kind === parameter.kind && own.layer === parameter.layer);
}

/** Whether a parameter, of a model with more heads, is of one that the source lacks. */
export function isAdded(source: Model, parameter: Parameter): boolean {
  return parameter.layer === null && counterpart(source, parameter) === undefined;
}

/** What became of the heads, in sentences for a person; none where both have the same. */
export function headWords(source: Model, target: Model): readonly string[] {
  if (source.outputs.lm === target.outputs.lm) return [];
  const added = target.parameters.filter((parameter) => isAdded(source, parameter)).map(({ name }) => name);
  const dropped = source.parameters.filter((parameter) => isAdded(target, parameter)).map(({ name }) => name);
  return [
    added.length === 0
      ? "The language-model head is new: the embedding matrix, tied."
      : `The language-model head is new and has still to learn: ${added.join(", ")} are drawn as for a new model${target.outputs.lm === "tied" ? ", the decoder is tied to the embeddings" : ""}. What is said of the function is said of the hidden states.`,
    ...(dropped.length === 0 ? [] : [`${target.config.architectures} has no place for ${dropped.join(", ")}.`]),
  ];
}

/** Reads the parameters of a model with another head than the one that is open, which has the rest of it. @param seed of what is drawn */
export function readingWithHead({ model: source, weights }: OpenModel, { parameters }: Model, seed: number) {
  const byName = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  return async (name: string): Promise<Float32Array> => {
    const parameter = byName.get(name);
    if (parameter === undefined) throw new RangeError(`no parameter ${name}`);
    const own = counterpart(source, parameter);
    return own === undefined ? initialise(parameter, seed) : weights.readF32(own.name);
  };
}

/** An open model with a language-model head, as a run starts from it. @param seed of what is drawn @throws UserError if it has one */
export function addHead(
  opened: OpenModel,
  seed: number,
): Pick<OpenModel, "folder" | "model" | "close"> & {
  readonly weights: { readF32(name: string): Promise<Float32Array> };
} {
  const { folder, model: source, config } = opened;
  const model = source.architecture.model(config, folder, outputsWithLanguageModel(source, folder));
  const readF32 = readingWithHead(opened, model, seed);
  return { folder, model, weights: { readF32 }, close: () => opened.close() };
}
