/** A model folder opened for use: its tokenizer beside it, its weights in an engine. Nothing of it changes. */
import { availableParallelism } from "node:os";
import { addedBy, type Template, templateOf } from "../data/tokenizer/template.ts";
import { openTokenizer, type Tokenizer } from "../data/tokenizer/tokenizer.ts";
import type { Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/engines.ts";
import type { Model } from "../model/architecture.ts";
import { headWayOut } from "../model/head.ts";
import { openModel } from "../model/load.ts";
import { supports } from "../model/objectives.ts";
import { parameterCount } from "../model/table.ts";
import { writeParameters } from "../train/step/state.ts";
import { closing } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { checkMemory } from "../util/memory.ts";
import { Programs } from "./forward.ts";

export interface UseOptions {
  /** Default: `auto`. */
  readonly engine?: string;
  /** Default: all processors. */
  readonly threads?: number;
}

export interface LanguageModel {
  readonly folder: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  readonly engine: Engine;
  readonly programs: Programs;
  /** Whether it predicts what comes next; else what is masked. */
  readonly causal: boolean;
}

/** @param only what it must be able to do @throws UserError if it has no language model's head, or not that one */
export async function withLanguageModel<T>(
  folder: string,
  { engine: kind = "auto", threads = availableParallelism() }: UseOptions,
  use: (lm: LanguageModel) => Promise<T>,
  only?: { readonly objective: "clm" | "mlm"; readonly wayOut: string },
): Promise<T> {
  return closing(async (keep) => {
    const { model, weights } = keep(await openModel(folder));
    const causal = supports(model, "clm");
    if (!causal && !supports(model, "mlm"))
      throw new UserError("the model has no language-model head", folder, headWayOut);
    if (only !== undefined && !supports(model, only.objective)) {
      throw new UserError(causal ? "the model is causal" : "the model is a masked one", folder, only.wayOut);
    }
    checkMemory(4 * parameterCount(model.parameters), "the model", folder, "free memory");
    const tokenizer = await openTokenizer(folder);
    const template = templateOf(tokenizer.description.json);
    const engine = keep(await openEngine({ kind, threads, precision: "f32" }));
    await writeParameters(engine, model, weights, folder);
    return use({ folder, model, tokenizer, template, engine, programs: new Programs(engine), causal });
  });
}

/** Ids that texts give, each below the model's vocabulary. @throws UserError naming where the text stands */
export async function encodeFor(
  { model, tokenizer }: Pick<LanguageModel, "model" | "tokenizer">,
  texts: readonly string[],
  where: (text: number) => string,
): Promise<readonly Uint32Array[]> {
  const { ids, ends } = await tokenizer.encode(texts);
  return Array.from(ends, (end, i) => {
    const own = ids.subarray(i === 0 ? 0 : ends[i - 1], end);
    checkKnown(model, own, where(i));
    return own;
  });
}

/** @throws UserError for an id that is none of the model's */
export function checkKnown({ dimensions: { vocab } }: Model, ids: Iterable<number>, where: string): void {
  for (const id of ids) {
    if (id < vocab) continue;
    const what = `the tokenizer gives the id ${id}, the model knows ${vocab} tokens`;
    throw new UserError(what, where, "put the model's own tokenizer into its folder");
  }
}

/** Tokens of a text that the model takes at once. */
export function room({ model, template }: Pick<LanguageModel, "model" | "template">): number {
  return model.dimensions.positions - addedBy(template.single);
}

/** What stands before a text that nothing stands before. @throws UserError if its tokenizer has no such token */
export function firstOf({ tokenizer, folder }: LanguageModel): number {
  const { bos, eos } = tokenizer.info.special;
  const id = bos ?? eos;
  if (id !== undefined) return id;
  const what = "its tokenizer has neither a bos nor an eos token, and the first word needs something before it";
  throw new UserError(what, folder, "name one in tokenizer_config.json");
}

/** @throws UserError if its tokenizer has no mask token */
export function maskOf({ tokenizer, folder }: LanguageModel): number {
  const { mask } = tokenizer.info.special;
  if (mask !== undefined) return mask;
  throw new UserError("its tokenizer has no mask token", folder, "name one in tokenizer_config.json");
}
