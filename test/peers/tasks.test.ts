/**
 * Tasks without training against lm-evaluation-harness where it is installed, and against its documented formula, item by
 * item in float64, where it is not: scores to 1e-4 of a nat, decisions alike but for ties, perplexities to 1e-4 of theirs.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { generateStories } from "../../src/quickstart/stories.ts";
import { evaluateTasks } from "../../src/tasks/evaluate.ts";
import { fillMask } from "../../src/tasks/fill-mask.ts";
import { sample } from "../../src/tasks/sample.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { fixture, python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers"]);
const script = readFileSync(join(packageRoot(), "test", "peers", "tasks.py"), "utf8");
const root = temporaryFolder();
const models = join(root, "models");
const stories = generateStories({ seed: 5, stories: 40 })
  .split("\n\n")
  .filter((story) => story.trim() !== "");
const sentences = stories.flatMap((story) => story.split(/(?<=[.!?])\s+/)).filter((one) => one.split(" ").length > 4);
const pairs = Array.from({ length: 30 }, (_, i) => {
  const words = sentences[i].split(" ");
  return { good: sentences[i], bad: [...words.slice(2), ...words.slice(0, 2)].join(" "), UID: `order_${i % 3}` };
});
const questions = Array.from({ length: 12 }, (_, i) => ({
  context: i % 4 === 0 ? "" : `${sentences[i]}${i % 2 === 0 ? "  " : ""}`,
  choices: [sentences[i + 1], `${sentences[i + 2]} ${sentences[i + 3]}`, "no"],
  label: i % 3,
}));
const passages = stories.slice(0, 16).map((text) => ({ text: text.replaceAll("\n", " ").trim() }));
// Shorter than a window, as long as one, and of several.
const documents = [sentences[0], ...stories.slice(0, 5), stories.slice(5, 20).join(" ")].map((one) => one.trim());

interface Scores {
  readonly pairs: readonly (readonly [number, boolean])[];
  readonly documents: readonly (readonly [number, boolean])[];
}

function jsonLines(name: string, rows: readonly object[]): string {
  const path = join(root, name);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
}

const files = {
  blimp: jsonLines("pairs", pairs),
  "multiple-choice": jsonLines("questions", questions),
  lambada: jsonLines("passages", passages),
  perplexity: join(root, "documents"),
};
writeFileSync(files.perplexity, documents.map((one) => one.replaceAll(/\n+/g, "\n")).join("\n\n"));

async function ours(folder: string, names: readonly (keyof typeof files)[]) {
  const items = join(root, "items");
  const figures = await evaluateTasks(
    folder,
    names.map((name) => `${name}=${files[name]}`),
    { engine: "onnx", threads: 1, items },
  );
  const lines: Record<string, unknown>[] = readFileSync(items, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return { figures, of: (name: string) => lines.filter(({ task }) => task === name) };
}

function theirs(folder: string, requests: object): Readonly<Record<string, Scores>> {
  const [path, out] = [join(root, "requests.json"), join(root, "scores.json")];
  writeFileSync(path, JSON.stringify(requests));
  peer?.run(script, ["score", folder, path, out]);
  return JSON.parse(readFileSync(out, "utf8"));
}

const flatPairs = (space: string) => pairs.flatMap(({ good, bad }) => [good, bad].map((text) => ["", space + text]));
const flatChoices = questions.flatMap(({ context, choices }) => choices.map((choice) => [context, ` ${choice}`]));

/** Scores of pairs and choices, in the order asked. */
function scoresOf(found: Awaited<ReturnType<typeof ours>>): number[] {
  return [
    ...found.of("blimp").flatMap(({ good, bad }) => [Number(good), Number(bad)]),
    ...found.of("multiple-choice").flatMap(({ logprobs }) => (Array.isArray(logprobs) ? logprobs.map(Number) : [])),
  ];
}

function expectClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found.length).toBe(wanted.length);
  for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]), `item ${i}`).toBeLessThan(1e-4);
}

describe.skipIf(peer === undefined)("tasks without training", () => {
  beforeAll(() => {
    mkdirSync(models);
    peer?.run(script, ["make", models, fixture("tokenizers")]);
  });

  test("a causal model's scores, decisions and perplexities", async () => {
    const folder = join(models, "gpt2");
    const found = await ours(folder, ["blimp", "multiple-choice", "lambada", "perplexity"]);
    const words = passages.map(({ text }) => [text.slice(0, text.lastIndexOf(" ")), text.slice(text.lastIndexOf(" "))]);
    const texts = documents.map((one) => one.replaceAll(/\n+/g, "\n"));
    const all = theirs(folder, { pairs: [...flatPairs(" "), ...flatChoices, ...words], documents: texts });
    for (const scores of Object.values(all)) {
      const chosen = scores.pairs.slice(0, -words.length).map(([logprob]) => logprob);
      expectClose(scoresOf(found), chosen);
      const right = pairs.filter((_, i) => chosen[2 * i] >= chosen[2 * i + 1]).length;
      expect(found.figures.blimp).toMatchObject({ accuracy: right / pairs.length, items: pairs.length });
      const last = scores.pairs.slice(-words.length);
      expectClose(
        found.of("lambada").map(({ logprob }) => Number(logprob)),
        last.map(([logprob]) => logprob),
      );
      expect(found.of("lambada").map(({ correct }) => correct)).toEqual(last.map(([, greedy]) => greedy));
      const nats = -last.reduce((sum, [logprob]) => sum + logprob, 0) / last.length;
      expect(Math.log(Number(found.figures.lambada.perplexity))).toBeCloseTo(nats, 4);
      const read = found.of("perplexity").map(({ logprob, tokens }) => [Number(logprob), Number(tokens)]);
      // Of a document what is known is its perplexity: the mean over its tokens.
      expectClose(
        read.map(([logprob, tokens]) => logprob / tokens),
        scores.documents.map(([one], i) => one / read[i][1]),
      );
      const sum = -scores.documents.reduce((all, [one]) => all + one, 0);
      const bytes = texts.reduce((all, one) => all + Buffer.byteLength(one), 0);
      const count = texts.reduce((all, one) => all + one.split(/\s+/).length, 0);
      const { word, byte, bitsPerByte } = found.figures.perplexity;
      expect(Math.abs(Number(word) / Math.exp(sum / count) - 1)).toBeLessThan(1e-4);
      expect(Math.abs(Number(byte) / Math.exp(sum / bytes) - 1)).toBeLessThan(1e-4);
      expect(Math.abs(Number(bitsPerByte) / (sum / bytes / Math.LN2) - 1)).toBeLessThan(1e-4);
    }
  });

  test.each(["bert", "roberta"])("a masked model's pseudo-log-likelihoods: %s", async (name) => {
    const folder = join(models, name);
    const found = await ours(folder, ["blimp", "multiple-choice"]);
    const { formula } = theirs(folder, { pairs: [...flatPairs(""), ...flatChoices], documents: [] });
    expectClose(
      scoresOf(found),
      formula.pairs.map(([logprob]) => logprob),
    );
  });

  /** What the script makes of a list of texts. */
  function peerOn(command: string, folder: string, texts: readonly string[]) {
    const [path, out] = [join(root, "texts.json"), join(root, "made.json")];
    writeFileSync(path, JSON.stringify(texts));
    peer?.run(script, [command, folder, path, out]);
    return JSON.parse(readFileSync(out, "utf8"));
  }

  test("greedy text, of prompts of several lengths at once", async () => {
    const prompts = [...sentences.slice(0, 4), stories[1].slice(0, 150), "A"];
    const folder = join(models, "gpt2");
    const made = await sample(folder, prompts, { engine: "onnx", threads: 1, tokens: 40 });
    expect(made.map(({ ids, text }) => [ids, text])).toEqual(peerOn("generate", folder, prompts));
  });

  test.each([
    ["bert", "[MASK]"],
    ["roberta", "<mask>"],
  ])("filled masks: %s", async (name, mask) => {
    const texts = [`The ${mask} sat.`, `${mask} went to the ${mask} and it was ${mask}.`];
    const folder = join(models, name);
    const filled = await fillMask(folder, texts, { engine: "onnx", threads: 1 });
    const wanted = peerOn("fill", folder, texts);
    expect(filled.map(({ masks }) => masks.map((one) => one.map(({ id }) => id)))).toEqual(
      wanted.map((masks: [number, number][][]) => masks.map((one) => one.map(([id]) => id))),
    );
    const scores = (all: readonly { readonly masks: readonly (readonly { readonly score: number }[])[] }[]) =>
      all.flatMap(({ masks }) => masks.flatMap((one) => one.map(({ score }) => score)));
    expectClose(
      scores(filled),
      wanted.flat(2).map(([, score]: [number, number]) => score),
    );
  });
});
