/**
 * docs/errors.md against the cases: every message stands there with its cause and hint, and no other. After a change:
 * `UPDATE_DOCS=1 npx vitest run test/cli/bad-input/docs.test.ts`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { packageRoot } from "../../../src/util/paths.ts";
import { damage } from "./cases/damage.ts";
import { configs, disagreements, growth } from "./cases/models.ts";
import { readOnly } from "./cases/places.ts";
import { places, runs, words } from "./cases/runs.ts";
import { studies } from "./cases/studies.ts";
import { tasks, tuning } from "./cases/tasks.ts";
import { corpora, prepared, tokenizers } from "./cases/texts.ts";
import { files, folders } from "./cases/weights.ts";
import type { Case, Group } from "./support.ts";

const groups = [
  files,
  folders,
  configs,
  disagreements,
  growth,
  corpora,
  tokenizers,
  prepared,
  runs,
  studies,
  tasks,
  tuning,
  places,
  damage,
  readOnly,
  words,
];

const path = join(packageRoot(), "docs", "errors.md");
const [begin, end] = ["<!-- messages -->\n", "<!-- end of messages -->"];

function code(template: string): string {
  const ticks = template.includes("`") ? "``" : "`";
  const pad = ticks.length > 1 ? " " : "";
  return `${ticks}${pad}${template.replaceAll("|", "\\|")}${pad}${ticks}`;
}

function section({ title, cases }: Group): string {
  const byMessage = new Map<string, Case[]>();
  for (const one of cases) byMessage.set(one.says, [...(byMessage.get(one.says) ?? []), one]);
  const rows = [...byMessage].map(([says, same]) => {
    const each = (of: (one: Case) => string) => [...new Set(same.map(of))].join("; or ");
    return `| ${code(says)} | ${each(({ cause }) => cause)} | ${each(({ hint }) => code(hint))} |`;
  });
  return [`## ${title}`, "", "| message | cause | hint |", "| --- | --- | --- |", ...rows, ""].join("\n");
}

it("docs/errors.md lists every message, its cause and its way out", () => {
  const all = `${begin}\n${groups.map(section).join("\n")}\n${end}`;
  if (process.env.UPDATE_DOCS === "1") {
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.slice(0, text.indexOf(begin)) + all + text.slice(text.indexOf(end) + end.length));
  }
  const text = readFileSync(path, "utf8");
  expect(text.slice(text.indexOf(begin), text.indexOf(end) + end.length)).toBe(all);
});
