/**
 * A model folder's card, README.md: what a person reads, and before it, in YAML, what the Hub shows: the model it is made
 * from (`base_model`), tags, the licence and languages of what it is made from, and measured values (`model-index`).
 */
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { checkInside, repoOfCached } from "../store/links.ts";
import { fillFile } from "../store/output.ts";

export const modelCardFile = "README.md";

/** What a model passes on to those that are made from it: what its own card says, by the Hub's keys. */
export type Descent = Readonly<Record<string, string | readonly string[]>>;

/** A model card, from plain data. */
export interface ModelCard {
  readonly title: string;
  /** Tags beside "bert2bert", such as the architecture. */
  readonly tags: readonly string[];
  /** As the Hub names tasks: fill-mask, text-generation. */
  readonly pipeline?: string;
  readonly descent?: Descent;
  /** Measured on held-out text, by the Hub's names: loss, perplexity, accuracy. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** Paragraphs below the title: what it is, what it was grown from and how, what is known about it. */
  readonly text: readonly string[];
  /** A table of facts below the text. */
  readonly facts: readonly (readonly [name: string, value: string])[];
}

const inherited = ["license", "license_name", "license_link", "language"];
/** Bytes in which a card's front matter has to end. */
const LONGEST = 2 ** 16;

/** What those descend from that are made from the model in a folder; what a broken card says is nothing. */
export async function descentOf(folder: string): Promise<Descent> {
  const repo = repoOfCached(resolve(folder));
  const front = await frontMatter(folder);
  const from = repo ?? front.base_model;
  const found = inherited.flatMap((key) => (isText(front[key]) ? [[key, front[key]] as const] : []));
  return Object.fromEntries([...(isText(from) ? [["base_model", from] as const] : []), ...found]);
}

async function frontMatter(folder: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    await checkInside(folder, modelCardFile);
    const text = (await readFile(join(folder, modelCardFile), "utf8")).slice(0, LONGEST);
    const [, yaml] = /^---\r?\n(.*?)\r?\n---\s/s.exec(text) ?? [];
    const { parse } = await import("yaml");
    const value: unknown = yaml === undefined ? {} : parse(yaml);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function isText(value: unknown): value is string | string[] {
  return typeof value === "string" || (Array.isArray(value) && value.every((each) => typeof each === "string"));
}

/** Writes the card as README.md with its front matter. Into the temporary folder of writeFolderWhole. */
export async function writeModelCard(folder: string, card: ModelCard): Promise<void> {
  const quoted = (text: string) => (/^[a-z][a-z0-9-]*$/i.test(text) ? text : JSON.stringify(text));
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
  const entry = ([key, value]: readonly [string, string | readonly string[]]) =>
    typeof value === "string" ? [`${key}: ${quoted(value)}`] : [`${key}:`, ...value.map((each) => `- ${quoted(each)}`)];
  const lines = [
    "---",
    "library_name: transformers",
    ...(card.pipeline === undefined ? [] : [`pipeline_tag: ${quoted(card.pipeline)}`]),
    ...Object.entries(card.descent ?? {}).flatMap(entry),
    ...entry(["tags", ["bert2bert", ...card.tags]]),
    ...modelIndex(card, quoted),
    "---",
    "",
    `# ${card.title.replaceAll("\n", " ")}`,
    ...card.text.flatMap((paragraph) => ["", paragraph]),
  ];
  if (card.facts.length > 0) {
    lines.push("", "| | |", "|---|---|", ...card.facts.map(([name, value]) => `| ${cell(name)} | ${cell(value)} |`));
  }
  await fillFile(join(folder, modelCardFile), `${lines.join("\n")}\n`);
}

function modelIndex({ title, pipeline, metrics = {} }: ModelCard, quoted: (text: string) => string): readonly string[] {
  const values = Object.entries(metrics);
  if (values.length === 0 || pipeline === undefined) return [];
  return [
    "model-index:",
    `- name: ${JSON.stringify(title)}`,
    "  results:",
    "  - task:",
    `      type: ${quoted(pipeline)}`,
    "    dataset:",
    "      name: held-out part of the training text",
    "      type: text",
    "    metrics:",
    ...values.flatMap(([type, value]) => [`    - type: ${quoted(type)}`, `      value: ${value}`]),
  ];
}
