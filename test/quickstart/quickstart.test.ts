import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readConfig } from "../../src/checkpoint/folder.ts";
import { openModel } from "../../src/model/load.ts";
import {
  type QuickstartOptions,
  type QuickstartResult,
  quickstart,
  savingWords,
} from "../../src/quickstart/quickstart.ts";
import { quickstartSettings } from "../../src/quickstart/settings.ts";
import { story } from "../../src/quickstart/stories.ts";
import { Interrupted } from "../../src/util/errors.ts";
import { temporaryFolder } from "../support.ts";

/** The whole way in a few seconds. */
const settings = {
  ...quickstartSettings,
  ...{ stories: 250, vocabulary: 500, length: 32, sequences: 4, validation: 0.05 },
  ...{ layers: 2, headWidth: 16, small: 32, large: 48, smallSteps: 20, steps: 20, block: 1 },
  ...{ evaluateEvery: 5, evaluateSequences: 8 },
};
const folder = temporaryFolder();
const out = join(folder, "quick");
const go = (options: Partial<QuickstartOptions> = {}) => quickstart({ out, settings, ...options });

async function weights(result: QuickstartResult): Promise<Buffer[]> {
  return Promise.all([result.models.large, result.models.scratch].map((at) => readFile(join(at, "model.safetensors"))));
}

describe("quickstart", () => {
  let result: QuickstartResult;
  const said: string[] = [];
  beforeAll(async () => {
    result = await go({ say: (text) => said.push(text), step: (title) => said.push(`# ${title}`) });
  });

  it("leaves model folders of the sizes meant, and a report of what was saved", async () => {
    for (const [place, hidden] of Object.entries({ small: 32, grown: 48, large: 48, scratch: 48 })) {
      const path = Object.entries(result.models).find(([name]) => name === place)?.[1] ?? "";
      const model = await openModel(path);
      expect(model.model.dimensions.hidden).toBe(hidden);
      await model.close();
      expect((await readConfig(path)).model_type).toBe("gpt2");
      expect(existsSync(join(path, "tokenizer.json"))).toBe(true);
    }
    const html = await readFile(result.report, "utf8");
    expect(html).toContain("grown, two stages");
    expect(html).toContain("FPI, 32 → 64");
    expect(html).toContain(": kept");
  });

  it("ends with a few sentences of its model", async () => {
    const beginnings = (await readFile(join(out, "corpus.txt"), "utf8"))
      .split("\n")
      .filter((line) => line.trim() !== "");
    expect(result.samples.length).toBe(3);
    for (const [i, text] of result.samples.entries()) {
      const beginning = beginnings[i].split(" ").slice(0, 3).join(" ");
      expect(text.startsWith(beginning)).toBe(true);
      expect(text.length).toBeGreaterThan(beginning.length + 10);
      expect(said).toContain(text);
    }
  });

  it("says what was verified and what was saved", () => {
    expect(said.filter((line) => line.startsWith("# "))).toHaveLength(8);
    expect(said.some((line) => /at most 1e-5 is promised: kept/.test(line))).toBe(true);
    const { reuse, coarse } = result.saving;
    const none = coarse ? /evaluations too far apart/ : /Nothing was saved/;
    expect(savingWords(result)).toMatch(reuse === null ? none : /needed [\d.]+ % (less|more) to the loss/);
    expect(result.losses.scratch).toBe(result.saving.target);
  });

  it("gives both runs the same budget of FLOPs, to a step or two", async () => {
    const flops = async (name: string) => {
      const lines = (await readFile(join(out, "runs", name, "metrics.jsonl"), "utf8")).trim().split("\n");
      const last: { flops: { exact: number } } = JSON.parse(lines[lines.length - 1]);
      return last.flops.exact;
    };
    const ratio = (await flops("grown")) / (await flops("scratch"));
    expect(ratio).toBeGreaterThan(0.85);
    expect(ratio).toBeLessThan(1.15);
  });

  it("started again takes what is there", async () => {
    const before = await weights(result);
    const html = await readFile(result.report, "utf8");
    expect(await go()).toEqual(result);
    expect(await weights(result)).toEqual(before);
    expect(await readFile(result.report, "utf8")).toBe(html);
  });

  it("stopped in the middle of a run and started again ends with the same weights", async () => {
    const other = join(folder, "stopped");
    let steps = 0;
    const stopped = () => (++steps > 30 ? ("SIGINT" as const) : undefined);
    await expect(go({ out: other, stopped })).rejects.toThrow(Interrupted);
    const again = await go({ out: other });
    expect(await weights(again)).toEqual(await weights(result));
  });

  it("refuses a folder that is something else, and another corpus in its own", async () => {
    const foreign = join(folder, "foreign");
    await mkdir(foreign);
    await writeFile(join(foreign, "thesis.txt"), "mine");
    await expect(go({ out: foreign })).rejects.toThrow("holds no quickstart (there is thesis.txt)");
    await expect(go({ corpus: [join(foreign, "thesis.txt")] })).rejects.toThrow("of another corpus");
  });

  it("leaves nothing of a corpus that does not serve, so that another can be given, and touches nobody's files", async () => {
    const root = join(folder, "corrected");
    await mkdir(root);
    const [small, own, text] = [join(root, "deep", "quick"), join(root, "own"), join(root, "text.txt")];
    await expect(go({ out: small, corpus: [join(root, "gone.txt")] })).rejects.toThrow("no such file");
    await writeFile(text, "A short day.\n\nA longer one.\n");
    await expect(go({ out: small, corpus: [text] })).rejects.toThrow();
    expect(await readdir(root)).toEqual(["text.txt"]);
    // A folder that was there stays, with what somebody else put into it.
    await mkdir(own);
    await writeFile(join(own, ".keep"), "");
    await expect(go({ out: own, corpus: [text] })).rejects.toThrow();
    expect(await readdir(own)).toEqual([".keep"]);
    // Stopped before anything was trained, another corpus is taken, even one that lies in the folder itself.
    const stopped = () => "SIGINT" as const;
    await expect(go({ out: own, stopped })).rejects.toThrow(Interrupted);
    await expect(go({ out: own, corpus: [text] })).rejects.toThrow();
    await expect(go({ out: own, stopped })).rejects.toThrow(Interrupted);
    const theirs = join(own, "corpus.txt");
    await writeFile(theirs, "A short day.\n\nA longer one.\n");
    await expect(go({ out: own, corpus: [theirs] })).rejects.toThrow();
    expect(await readFile(theirs, "utf8")).toContain("A longer one");
  });

  it("takes a corpus, and says if it is too small", async () => {
    const text = join(folder, "tiny.txt");
    await writeFile(text, Array.from({ length: 3 }, (_, i) => "A short day in the woods.\n".repeat(3 + i)).join("\n"));
    const small = join(folder, "tiny");
    await expect(go({ out: small, corpus: [text] })).rejects.toThrow(/the corpus is too small|do not fill a sequence/);
    await writeFile(text, Array.from({ length: 200 }, (_, i) => story(99, i)).join("\n\n"));
    const own = await go({ out: small, corpus: [text] });
    expect(existsSync(join(small, "corpus.txt"))).toBe(false);
    expect(own.losses.small).toBeLessThan(Math.log(500));
  });
});
