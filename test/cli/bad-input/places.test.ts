/**
 * Places: what can't be written, paths of every kind, links; and the command line as a process of its own, so that exit
 * codes and streams are the real ones.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../../src/util/paths.ts";
import { type CliResult, cli, fixture, temporaryFolder } from "../../support.ts";
import { configs, growth } from "./cases/models.ts";
import { readOnly } from "./cases/places.ts";
import { places, runs, words } from "./cases/runs.ts";
import { corpora, prepared, tokenizers } from "./cases/texts.ts";
import { files, folders } from "./cases/weights.ts";
import { contents, model, testRefusals } from "./support.ts";

describe("as a process", () => {
  const one = [files, folders, configs, growth, corpora, tokenizers, prepared, runs, places, words];
  testRefusals(
    one.map(({ cases }) => cases[0]),
    (given) => cli(given),
  );
});

/** As somebody who is not root, for whom nothing is read-only. */
function asNobody(given: readonly string[], folder: string): CliResult {
  const main = join(packageRoot(), "dist", "cli", "main.js");
  const who = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const done = spawnSync(process.execPath, [main, ...given], { encoding: "utf8", cwd: folder, ...who });
  return { code: done.status, stdout: done.stdout, stderr: done.stderr };
}

const reachable = process.getuid?.() !== 0 || asNobody(["--version"], "/").code === 0;
if (!reachable) console.warn("skipped: read-only places (another user can't run this package here)");
describe.skipIf(!reachable)("places that can't be written", () => {
  const opened: string[] = [];
  afterAll(() => {
    for (const path of opened) chmodSync(path, 0o755);
  });
  testRefusals(readOnly.cases, (given, folder) => {
    chmodSync(folder, 0o755);
    opened.push(join(folder, "closed"));
    return asNobody(given, folder);
  });
});

describe("paths", () => {
  it("that are empty name no place to write: the current folder stays as it is", () => {
    const folder = temporaryFolder();
    cpSync(fixture("bert-tiny"), join(folder, "model"), { recursive: true });
    mkdirSync(join(folder, "data"));
    for (const name of ["thesis.txt", join("data", "mine.txt")]) writeFileSync(join(folder, name), "mine");
    const before = contents(folder);
    for (const words of [
      ["grow", "model", "", "--method", "fpi", "--layers", "4"],
      ["init", join("model", "config.json"), ""],
      ["tokenizer", "train", "thesis.txt", "--out", "", "--kind", "wordpiece", "--vocab", "64"],
      ["quickstart", "--out", ""],
    ]) {
      const stderr = "error: the place to write: the path is empty\nhint: name a file or folder\n";
      expect(cli(words, { cwd: folder }), words.join(" ")).toEqual({ code: 2, stdout: "", stderr });
      expect(contents(folder)).toEqual(before);
    }
    expect(cli(["inspect", ""], { cwd: folder }).stderr).toMatch(/^error: "": there is no such folder\n/);
  });

  it("may hold spaces, letters of any script, quotes, `..` and links", () => {
    const folder = temporaryFolder();
    const odd = join(folder, "ein  Ordner", "模型 и 'модели' \"x\" ü😀");
    mkdirSync(odd, { recursive: true });
    cpSync(fixture("bert-tiny"), join(odd, "my model"), { recursive: true });
    symlinkSync(join(odd, "my model"), join(folder, "link"));
    const [source, out] = [join(folder, "link"), join(odd, "..", "größer", ".", "x")];
    const grown = cli(["grow", source, out, "--method", "fpi", "--layers", "4", "--json"]);
    expect(grown.code, grown.stderr).toBe(0);
    const straight = join(folder, "straight");
    expect(cli(["grow", join(odd, "my model"), straight, "--method", "fpi", "--layers", "4"]).code).toBe(0);
    expect(contents(out)).toEqual(contents(straight));
    expect(cli(["inspect", "größer/x"], { cwd: join(folder, "ein  Ordner") }).code).toBe(0);
  });

  it("may lead through the Hub's cache, where a snapshot is links to blobs", () => {
    const cache = join(temporaryFolder(), "models--google--bert");
    const snapshot = join(cache, "snapshots", "0123abc");
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(join(cache, "blobs"));
    for (const name of ["config.json", "model.safetensors"]) {
      cpSync(fixture("bert-tiny", name), join(cache, "blobs", `hash-of-${name}`));
      symlinkSync(join("..", "..", "blobs", `hash-of-${name}`), join(snapshot, name));
    }
    expect(cli(["inspect", snapshot]).code).toBe(0);
  });

  it("a link inside a folder is followed", () => {
    const path = model(temporaryFolder());
    cpSync(join(path, "config.json"), join(path, "really.json"));
    writeFileSync(join(path, "config.json"), readFileSync(join(path, "really.json")));
    symlinkSync("really.json", join(path, "generation_config.json"));
    expect(cli(["grow", path, join(path, "..", "out"), "--method", "fpi", "--layers", "4"]).code).toBe(0);
  });
});
