/** Bad tasks, prompts and gaps, by the command line. */
import { describe } from "vitest";
import { tasks } from "./cases/tasks.ts";
import { testRefusals } from "./support.ts";

describe(tasks.title, () => testRefusals(tasks.cases));
