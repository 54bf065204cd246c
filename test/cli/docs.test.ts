/**
 * docs/commands.md against the command line: every command stands there, and its help is what `--help` prints. After a
 * change of a command: `UPDATE_DOCS=1 npx vitest run test/cli/docs.test.ts`.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { expect, it } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { methods } from "../../src/growth/methods.ts";
import { packageRoot } from "../../src/util/paths.ts";

const path = join(packageRoot(), "docs", "commands.md");
const block = /```help ([a-z -]+)\n([\s\S]*?)```/g;

function help(words: string): string {
  const main = join(packageRoot(), "dist", "cli", "main.js");
  const { stdout, status } = spawnSync(process.execPath, [main, ...words.split(" "), "--help"], { encoding: "utf8" });
  expect(status).toBe(0);
  return stdout;
}

/** Names as typed, "tokenizer train" for a command within one. */
async function allCommands(): Promise<string[]> {
  const names = await Promise.all(
    commands.map(async ({ name, load }) => {
      const command = new Command(name);
      (await load()).register(command);
      const inner = command.commands.map((one) => `${name} ${one.name()}`);
      return inner.length > 0 ? inner : [name];
    }),
  );
  return names.flat().sort();
}

it("docs/commands.md shows every command's own help", async () => {
  const text = readFileSync(path, "utf8");
  if (process.env.UPDATE_DOCS === "1") {
    const updated = text.replace(block, (_, words: string) => `\`\`\`help ${words}\n${help(words)}\`\`\``);
    writeFileSync(path, updated);
  }
  const shown = new Map([...readFileSync(path, "utf8").matchAll(block)].map(([, words, body]) => [words, body]));
  expect([...shown.keys()].sort()).toEqual(await allCommands());
  for (const [words, body] of shown) expect(body, words).toBe(help(words));
});

it("every command of an example exists", async () => {
  const known = await allCommands();
  const examples = [...readFileSync(path, "utf8").matchAll(/^bert2bert ([a-z-]+(?: train)?)/gm)].map(
    ([, words]) => words,
  );
  expect(examples.length).toBeGreaterThan(8);
  for (const words of examples) expect(known).toContain(words);
});

it("`grow --help` names above each option of a method the methods that take it, and no others", () => {
  const [, ...groups] = help("grow").split(/^Only with --method /m);
  const shown = groups.map((group) => {
    const takers = group.slice(0, group.indexOf(":\n")).split(", ");
    return [...group.split("\n\n")[0].matchAll(/^ {2}--([a-z]+) <value>/gm)].map(([, name]) => ({ name, takers }));
  });
  const options = new Set(methods.flatMap((method) => method.options.map(({ name }) => name)));
  const wanted = [...options].map((name) => ({
    name,
    takers: methods
      .filter((method) => method.options.some((option) => option.name === name))
      .map((method) => method.name),
  }));
  const byName = (a: { name: string }, b: { name: string }) => a.name.localeCompare(b.name);
  expect(shown.flat().sort(byName)).toEqual(wanted.sort(byName));
});
