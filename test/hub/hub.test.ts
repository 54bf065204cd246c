/** Names on the Hub, against a Hub on loopback: found, brought, taken up again, refused, pushed. */
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { parse } from "yaml";
import { findModel } from "../../src/hub/find.ts";
import { hubName } from "../../src/hub/name.ts";
import { inProcess } from "../cli/bad-input/support.ts";
import { fixture, temporaryFolder } from "../support.ts";
import { LoopbackHub } from "./server.ts";

const hub = new LoopbackHub();
let cache: string;
const model = temporaryFolder();

beforeAll(async () => {
  await hub.start();
  for (const name of ["config.json", "model.safetensors"]) cpSync(fixture("bert-tiny", name), join(model, name));
  writeFileSync(join(model, "vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n");
  writeFileSync(join(model, "README.md"), "---\nlicense: mit\nlanguage: [en, de]\n---\n# a model\n");
  writeFileSync(join(model, "pytorch_model.bin"), "never opened");
  hub.put("some/bert", model);
  hub.put("some/nested", model, "inner/deep");
});
afterAll(() => hub.stop());
beforeEach(() => {
  cache = temporaryFolder();
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("TRANSFORMERS_OFFLINE", "");
  vi.stubEnv("HF_ENDPOINT", hub.address);
  vi.stubEnv("HF_HUB_CACHE", cache);
  vi.stubEnv("HF_TOKEN", "");
  hub.asked.length = 0;
});
afterEach(() => vi.unstubAllEnvs());

const filesAsked = () => hub.asked.flatMap(({ path }) => /\/resolve\/[^/]+\/(.+)$/.exec(path)?.[1] ?? []).sort();
const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => "",
    (error: Error) => error.message,
  );

describe("a name", () => {
  it("is org/name, a revision and a folder of it", () => {
    expect(hubName("a/b")).toEqual({ repo: "a/b", revision: "main", folder: "" });
    expect(hubName("a/b.c@v1/x/y")).toEqual({ repo: "a/b.c", revision: "v1", folder: "x/y" });
    expect(hubName("a/b@refs%2Fpr%2F1")).toEqual({ repo: "a/b", revision: "refs/pr/1", folder: "" });
    for (const path of [
      "a",
      "./a/b",
      "../a/b",
      "/a/b",
      "a/../b",
      "a/b/../../c",
      "a//b",
      "a/b@",
      "a/b@%",
      "a\\b",
      "a/b/",
    ]) {
      expect(hubName(path), path).toBeUndefined();
    }
  });
});

describe("a model on the Hub", () => {
  it("is brought with only the files that are read, in the layout of Python's cache, and is then found without asking", async () => {
    const folder = await findModel("some/bert");
    expect(filesAsked()).toEqual(["README.md", "config.json", "model.safetensors", "vocab.txt"]);
    for (const name of filesAsked()) expect(readFileSync(join(folder, name))).toEqual(readFileSync(join(model, name)));
    const repo = join(cache, "models--some--bert");
    const commit = readFileSync(join(repo, "refs", "main"), "utf8");
    expect(folder).toBe(join(repo, "snapshots", commit));
    expect(lstatSync(join(folder, "config.json")).isSymbolicLink()).toBe(true);
    expect(realpathSync(join(folder, "config.json"))).toMatch(/blobs\/[0-9a-f]{40}$/);
    expect(realpathSync(join(folder, "model.safetensors"))).toMatch(/blobs\/[0-9a-f]{64}$/);
    hub.asked.length = 0;
    chmodSync(repo, 0o500);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await findModel("some/bert")).toBe(folder);
    expect(await findModel(`some/bert@${commit}`)).toBe(folder);
    expect(hub.asked).toEqual([]);
    chmodSync(repo, 0o700);
  });

  it("may lie in a folder, or at another revision", async () => {
    expect(await findModel("some/nested/inner/deep")).toMatch(/snapshots\/[0-9a-f]{40}\/inner\/deep$/);
    hub.put("some/bert", model, "", "other");
    await findModel("some/bert@other");
    expect(existsSync(join(cache, "models--some--bert", "refs", "other"))).toBe(true);
  });

  it("is a tokenizer alone where that is wanted", async () => {
    await findModel("some/bert", { wanted: "tokenizer" });
    expect(filesAsked()).toEqual(["config.json", "vocab.txt"]);
  });

  it("in shards is brought as its index says", async () => {
    const sharded = temporaryFolder();
    cpSync(join(model, "config.json"), join(sharded, "config.json"));
    const map = { a: "model-1-of-2.safetensors", b: "model-2-of-2.safetensors", c: "../escape.safetensors" };
    writeFileSync(join(sharded, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
    for (const name of ["model-1-of-2.safetensors", "model-2-of-2.safetensors", "other.safetensors"])
      writeFileSync(join(sharded, name), name);
    hub.put("some/sharded", sharded);
    await findModel("some/sharded");
    expect(filesAsked()).toEqual([
      "config.json",
      "model-1-of-2.safetensors",
      "model-2-of-2.safetensors",
      "model.safetensors.index.json",
    ]);
  });

  it("is taken up where a connection broke, also by another process, and what came damaged is brought again", async () => {
    hub.breaks = [1000, 2000];
    const folder = await findModel("some/bert");
    expect(readFileSync(join(folder, "model.safetensors"))).toEqual(readFileSync(join(model, "model.safetensors")));
    const ranges = hub.asked
      .filter(({ path }) => path.endsWith("model.safetensors"))
      .map(({ range }) => range?.split("-")[0]);
    expect(ranges).toEqual([undefined, "bytes=1000", "bytes=3000"]);
    const blob = realpathSync(join(folder, "model.safetensors"));
    const bytes = readFileSync(blob);
    rmSync(join(folder, "model.safetensors"));
    rmSync(blob);
    writeFileSync(`${blob}.bert2bert.incomplete`, bytes.subarray(0, 500));
    hub.asked.length = 0;
    hub.damage = 1;
    await findModel("some/bert");
    expect(readFileSync(blob)).toEqual(bytes);
    expect(
      hub.asked.filter(({ path }) => path.endsWith("model.safetensors")).map(({ range }) => range?.split("-")[0]),
    ).toEqual(["bytes=500", undefined]);
    expect(readdirSync(join(blob, "..")).filter((name) => name.includes("incomplete"))).toEqual([]);
  });

  it("yields to a folder of its name", async () => {
    const place = temporaryFolder();
    mkdirSync(join(place, "some", "bert"), { recursive: true });
    expect(await findModel("some/bert", { beside: place })).toBe(join(place, "some", "bert"));
    expect(hub.asked).toEqual([]);
  });

  it("that is nowhere is said in one sentence with both readings, within seconds", async () => {
    expect(await refusal(findModel("some/none"))).toMatch(
      /^some\/none: there is no such folder, and as a model on the Hub \(http.*\) it was not found: it has none that may be read so \(404\)\nhint: /,
    );
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await refusal(findModel("some/none"))).toMatch(/HF_HUB_OFFLINE is set/);
    vi.stubEnv("HF_HUB_OFFLINE", "");
    vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9");
    const started = performance.now();
    expect(await refusal(findModel("some/none"))).toMatch(/it does not answer \(/);
    expect(performance.now() - started).toBeLessThan(15_000);
    vi.stubEnv("HF_ENDPOINT", "nonsense");
    expect(await refusal(findModel("some/none"))).toMatch(/^HF_ENDPOINT: `nonsense` is no address/);
  });

  it("without a tokenizer in the cache is used all the same where nobody answers", async () => {
    const folder = await findModel("some/bert");
    rmSync(join(folder, "vocab.txt"));
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    const said: string[] = [];
    expect(await findModel("some/bert", { say: (text) => said.push(text) })).toBe(folder);
    expect(said.join()).toMatch(/no tokenizer/);
  });

  it("needs the token, which is sent and shown nowhere", async () => {
    hub.token = "hf_secret123";
    try {
      expect(await refusal(findModel("some/bert"))).toMatch(/\(401\).*\n.*HF_TOKEN/);
      vi.stubEnv("HF_TOKEN", "hf_secret123");
      const said: string[] = [];
      const folder = await findModel("some/bert", { say: (text) => said.push(text) });
      expect(hub.asked.at(-1)?.token).toBe("Bearer hf_secret123");
      const kept = readdirSync(cache, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      for (const entry of kept)
        expect(readFileSync(join(entry.parentPath, entry.name), "latin1")).not.toContain("secret");
      expect(said.join() + folder).not.toContain("secret");
      vi.stubEnv("HF_TOKEN", "a secret");
      expect(await refusal(findModel("some/other"))).toMatch(/^HF_TOKEN: it is no token/);
      expect(await refusal(findModel("some/other"))).not.toContain("secret");
    } finally {
      hub.token = undefined;
    }
  });

  it("with weights in pickles alone is refused before anything large is fetched", async () => {
    const pickled = temporaryFolder();
    for (const name of ["config.json", "pytorch_model.bin"]) cpSync(join(model, name), join(pickled, name));
    hub.put("some/pickled", pickled);
    expect(await refusal(findModel("some/pickled"))).toMatch(
      /no weights in safetensors \(there is pytorch_model.bin\)/,
    );
  });
});

describe("push", () => {
  it("makes the repository, sends every file once, and what is there is not sent again", async () => {
    hub.token = "hf_writer";
    vi.stubEnv("HF_TOKEN", "hf_writer");
    try {
      const { code, stdout, stderr } = await inProcess(["push", model, "me/pushed"]);
      expect({ code, stdout }).toEqual({ code: 0, stdout: `${hub.address}/me/pushed\n` });
      expect(stdout + stderr).not.toContain("hf_writer");
      const pushed = hub.files("me/pushed");
      expect([...pushed.keys()].sort()).toEqual(readdirSync(model).sort());
      for (const [name, { bytes }] of pushed) expect(bytes).toEqual(readFileSync(join(model, name)));
      hub.asked.length = 0;
      expect((await inProcess(["push", model, "me/pushed"])).code).toBe(0);
      expect(hub.asked.filter(({ path }) => path.startsWith("/lfs/"))).toEqual([]);
      hub.token = "hf_another";
      const refused = await inProcess(["push", model, "me/pushed"]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toMatch(/refuses it \(401\)\nhint: .*HF_TOKEN/);
    } finally {
      hub.token = undefined;
    }
  });

  it("grown from the Hub, a model's card names it, with its licence and languages", async () => {
    const out = join(temporaryFolder(), "grown");
    const grown = await inProcess(["grow", "some/bert", out, "--hidden", "80", "--method", "fpi"]);
    expect(grown.stderr).toMatch(/some\/bert: [0-9a-f]{8} of http/);
    expect(grown).toMatchObject({ code: 0 });
    const [, yaml] = /^---\n(.*?)\n---/s.exec(readFileSync(join(out, "README.md"), "utf8")) ?? [];
    expect(parse(yaml)).toMatchObject({ base_model: "some/bert", license: "mit", language: ["en", "de"] });
    const further = join(temporaryFolder(), "further");
    expect((await inProcess(["grow", out, further, "--layers", "4", "--depth", "zero", "--method", "fpi"])).code).toBe(
      0,
    );
    expect(readFileSync(join(further, "README.md"), "utf8")).toMatch(/^base_model: "some\/bert"$/m);
  });
});
