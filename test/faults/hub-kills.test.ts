/**
 * A download and an upload, killed at random moments and started again with the same words, end with the same bytes as
 * undisturbed ones. 100 kills of each with `npm run test:faults`.
 */
import { spawn } from "node:child_process";
import { cpSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RandomStream } from "../../src/util/random.ts";
import { LoopbackHub } from "../hub/server.ts";
import { fixture, temporaryFolder } from "../support.ts";
import { main } from "./disturb.ts";
import { howMany, patience } from "./scale.ts";

const hub = new LoopbackHub();
const model = temporaryFolder();

beforeAll(async () => {
  await hub.start();
  hub.pace = 10;
  for (const name of ["config.json", "model.safetensors"]) cpSync(fixture("bert-tiny", name), join(model, name));
  writeFileSync(join(model, "vocab.txt"), `[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n${"a word\n".repeat(5000)}`);
  hub.put("some/bert", model);
});
afterAll(() => hub.stop());

/** @returns whether it ended before it was killed */
function live(words: readonly string[], cache: string, seconds: number): Promise<boolean> {
  const given = { HF_ENDPOINT: hub.address, HF_HUB_CACHE: cache, HF_TOKEN: "hf_writer", HF_HUB_OFFLINE: "" };
  const env = { ...process.env, ...given, TRANSFORMERS_OFFLINE: "" };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...words], { env, stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (data) => {
      errors += data;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), 1000 * seconds);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (signal === "SIGKILL") resolve(false);
      else if (code === 0) resolve(true);
      else reject(new Error(`it ended with ${code ?? signal}\n${errors}`));
    });
  });
}

/** Every name below a folder, with what it holds or leads to. */
function tree(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const content = (path: string) => {
    const info = lstatSync(path);
    if (info.isSymbolicLink()) return `-> ${readlinkSync(path)}`;
    return info.isFile() ? readFileSync(path, "latin1") : "folder";
  };
  return Object.fromEntries(names.map((name) => [name, content(join(folder, name))]));
}

/** Kills so many times, and whole ends between: at each, `check` is asked. */
async function disturb(words: readonly string[], cache: string, check: () => void, clear: () => void) {
  const began = performance.now();
  expect(await live(words, cache, 600)).toBe(true);
  const seconds = (performance.now() - began) / 1000;
  const random = new RandomStream(29, words[0]);
  const wanted = howMany(6, 100);
  let [kills, ends] = [0, 0];
  let reach = seconds;
  clear();
  for (let lives = 0; kills < wanted || ends === 0; lives++) {
    if (!(await live(words, cache, kills < wanted ? reach * random.uniform(lives) : 600))) {
      kills++;
      // On a machine that has become slower, later kills until one ends.
      reach *= 1.03;
      continue;
    }
    ends++;
    reach = seconds;
    check();
    clear();
  }
  console.log(`${words[0]}: ${kills} kills, ${ends} ends (undisturbed: ${seconds.toFixed(1)} s)`);
}

it("a download killed at random ends with the same cache, and is taken up where it was", {
  timeout: patience,
}, async () => {
  const cache = join(temporaryFolder(), "cache");
  const words = ["inspect", "some/bert", "--json"];
  expect(await live(words, cache, 600)).toBe(true);
  const undisturbed = tree(cache);
  expect(Object.values(undisturbed)).toContain(readFileSync(join(model, "model.safetensors"), "latin1"));
  rmSync(cache, { recursive: true });
  hub.asked.length = 0;
  await disturb(
    words,
    cache,
    () => expect(tree(cache)).toEqual(undisturbed),
    () => rmSync(cache, { recursive: true }),
  );
  const later = hub.asked.filter(({ range }) => range !== undefined && !range.startsWith("bytes=0-"));
  expect(later.length).toBeGreaterThan(0);
});

it("a push killed at random ends with the same files", { timeout: patience }, async () => {
  const files = () => Object.fromEntries([...hub.files("me/pushed")].map(([name, { bytes }]) => [name, bytes]));
  const wanted = Object.fromEntries(readdirSync(model).map((name) => [name, readFileSync(join(model, name))]));
  const check = () => {
    expect(files()).toEqual(wanted);
    expect(tree(model)).toEqual(before);
  };
  const before = tree(model);
  await disturb(["push", model, "me/pushed"], temporaryFolder(), check, () => hub.forget("me/pushed"));
});
