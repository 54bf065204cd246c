/** The kinds of tasks, as `task` in TASK.yaml names them. */
import type { Kind } from "./kind.ts";
import { classification, regression } from "./texts.ts";

export const kinds: Readonly<Record<string, Kind>> = { classification, regression };
