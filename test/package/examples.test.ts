/** Every file of docs/examples says in its header how it is run, and runs so; the README shows the shortest one as it is. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { generateStories } from "../../src/quickstart/stories.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { studyYaml, writeStudy } from "../study/support.ts";
import { temporaryFolder } from "../support.ts";

const folder = join(packageRoot(), "docs", "examples");
const files = readdirSync(folder).filter((name) => name.endsWith(".ts"));
const textOf = (name: string) => readFileSync(join(folder, name), "utf8");
const headerOf = (name: string) => textOf(name).split("*/")[0];
const compileFirst = "npx tsc -p docs/examples && node dist/examples/";

function node(cwd: string, args: readonly string[]): string {
  const done = spawnSync(process.execPath, args, { cwd, encoding: "utf8" });
  expect(done.status, `${args.join(" ")}\n${done.stdout}\n${done.stderr}`).toBe(0);
  return done.stdout;
}

it.each(files)("%s says how it is run", (name) => {
  const header = headerOf(name);
  const ownTest = /`npx vitest run (\S+)` /.exec(header)?.[1];
  const runner = /docs\/examples\/(\S+) runs it/.exec(header)?.[1];
  if (ownTest !== undefined) {
    expect(readFileSync(join(packageRoot(), ownTest), "utf8")).toContain(`docs/examples/${name}`);
  } else if (runner !== undefined) expect(textOf(runner)).toContain(`from "./${name}"`);
  else expect(header).toContain(`\`${compileFirst}${name.replace(".ts", ".js")}`);
});

describe("compiled as their headers say", () => {
  const compiled = (name: string) => join(packageRoot(), "dist", "examples", name);

  beforeAll(() => {
    node(packageRoot(), [join("node_modules", "typescript", "bin", "tsc"), "-p", "docs/examples"]);
  });

  it("study.ts runs a study with the method and the plan beside it", async () => {
    const path = await writeStudy(
      temporaryFolder(),
      studyYaml("  scratch:\n  own: {growth: {method: calm}, plan: {top-down: {share: 0.25}}}\n"),
    );
    expect(node(packageRoot(), [compiled("study.js"), path])).toContain("own");
  });

  it("library.ts grows a model and trains it on", () => {
    const place = temporaryFolder();
    const bert2bert = (...args: string[]) => node(place, [join(packageRoot(), "dist", "cli", "main.js"), ...args]);
    writeFileSync(join(place, "text.txt"), generateStories({ seed: 1, stories: 300 }));
    bert2bert("tokenizer", "train", "text.txt", "--out", "tokenizer", "--kind", "wordpiece", "--vocab", "300");
    const config = {
      model_type: "bert",
      vocab_size: 300,
      hidden_size: 64,
      num_attention_heads: 1,
      num_hidden_layers: 1,
    };
    writeFileSync(join(place, "config.json"), JSON.stringify({ ...config, intermediate_size: 64 }));
    bert2bert("init", "config.json", "my-model");
    bert2bert("prepare", "text.txt", "--tokenizer", "tokenizer", "--out", "data", "--length", "32");
    // The sizes of the page would take hours.
    const small = readFileSync(compiled("library.js"), "utf8")
      .replace("hidden: 1024, heads: 16", "hidden: 128, heads: 2")
      .replace("steps: 500", "steps: 2");
    mkdirSync(join(packageRoot(), "dist", "examples"), { recursive: true });
    writeFileSync(compiled("library-small.js"), small);
    node(place, [compiled("library-small.js")]);
    expect(readdirSync(join(place, "run", "model"))).toContain("model.safetensors");
  });
});

it("the README's library section opens with library.ts, five lines long", () => {
  const [, code] = textOf("library.ts").split("*/\n");
  const [, section] = readFileSync(join(packageRoot(), "README.md"), "utf8").split("## As a library\n");
  expect(section.trimStart().startsWith(`\`\`\`ts\n${code}\`\`\``)).toBe(true);
  expect(code.split("\n\n")[1].trim().split("\n")).toHaveLength(5);
});
