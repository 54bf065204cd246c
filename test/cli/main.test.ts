import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatDuration, table } from "../../src/cli/output.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { cli } from "../support.ts";

describe("the command line", () => {
  it("prints its version and its help", () => {
    const { version } = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
    expect(cli(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
    for (const words of [[], ["--help"], ["help"]]) {
      const { code, stdout } = cli(words);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Usage: bert2bert/);
    }
  });

  it("names the nearest option and exits with 2 for unknown words", () => {
    expect(cli(["--versoin"])).toEqual({
      code: 2,
      stdout: "",
      stderr:
        "error: bert2bert: unknown option `--versoin`\nhint: did you mean `--version`? (`bert2bert --help` explains it)\n",
    });
    const { code, stderr } = cli(["frobnicate"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: bert2bert: there is no command `frobnicate`\nhint: .*\n$/);
  });

  it("ends quietly when its output is closed", () => {
    const main = join(packageRoot(), "dist", "cli", "main.js");
    const done = spawnSync("bash", ["-c", `node '${main}' --help | true; echo "\${PIPESTATUS[0]}"`], {
      encoding: "utf8",
    });
    expect(done.stdout).toBe("0\n");
    expect(done.stderr).toBe("");
  });
});

describe("output", () => {
  it("formats sizes, counts and times", () => {
    expect([0, 999, 1000, 1_340_000_000, 999_600].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "1.3 GB",
      "1.0 MB",
    ]);
    expect([12, 109_482_240].map(formatCount)).toEqual(["12", "109M"]);
    expect([0.04, 9.97, 61, 3725].map(formatDuration)).toEqual(["0.0 s", "10 s", "1 min 01 s", "1 h 02 min"]);
  });

  it("aligns a table", () => {
    expect(
      table([
        ["name", "size"],
        ["a", "1"],
        ["bbbbb", "100"],
      ]),
    ).toBe("name   size\na         1\nbbbbb   100");
  });
});
