/** The kinds of tasks, as `task` in TASK.yaml names them. */
import type { Kind } from "./kind.ts";
import { questionAnswering } from "./questions.ts";
import { classification, regression } from "./texts.ts";
import { tokenClassification } from "./tokens.ts";

export const kinds: Readonly<Record<string, Kind>> = {
  classification,
  regression,
  "token-classification": tokenClassification,
  "question-answering": questionAnswering,
};
