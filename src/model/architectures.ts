/** The architectures there are: one file and one line here for each. */
import { suggestion, UserError } from "../util/errors.ts";
import { type Json, printable } from "../util/json.ts";
import type { Architecture } from "./architecture.ts";
import { bert } from "./bert.ts";
import { distilbert } from "./distilbert.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { modernbert } from "./modernbert.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { roberta, xlmRoberta } from "./roberta.ts";

export const architectures: readonly Architecture[] = [
  ...[bert, roberta, xlmRoberta, distilbert, modernbert],
  ...[gpt2, llama, mistral, qwen2, qwen3],
];

/** The architecture of a config's model_type. @param where the file, for messages @throws UserError if it is none of ours */
export function architectureOf(config: Json, where: string): Architecture {
  const type = config.model_type;
  const known = architectures.map((architecture) => architecture.type);
  const found = architectures.find((architecture) => architecture.type === type);
  if (found !== undefined) return found;
  if (typeof type !== "string") {
    throw new UserError("`model_type` is missing", where, `set it to one of ${known.join(", ")}`);
  }
  const what = `\`model_type\` is ${printable(JSON.stringify(type))}, which is not supported`;
  throw new UserError(what, where, suggestion(type, known));
}

/** What is to be said where advice is given on an architecture of which no study was made; undefined for the others. */
export function unmeasured({ type, studied }: Architecture): string | undefined {
  if (studied) return undefined;
  const known = architectures.filter((architecture) => architecture.studied).map((architecture) => architecture.type);
  return `nothing has been measured for a ${type} yet: rates, schedule and methods are what served ${known.join(" and ")} (docs/results/)`;
}
