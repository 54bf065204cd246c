/** `bert2bert quickstart`: the whole way once, offline, in a few minutes. */
import type { Command } from "@commander-js/extra-typings";
import { formatDuration, print, printJson, runLine, styled } from "./output.ts";
import { attended } from "./signals.ts";

export function register(command: Command): void {
  command
    .option("--out <folder>", "where everything goes", "quickstart")
    .option("--corpus <files...>", "text to learn from, a blank line between documents (default: generated stories)")
    .option("--json", "print the result as JSON")
    .addHelpText(
      "after",
      "\nTrains a small GPT-2, grows it, trains the grown one and one from scratch on the same budget, and reports what\nwas saved. It can be stopped and started again with the same words.\n\nWhat growing saves has been measured for GPT-2 and BERT (docs/results/), and for no other architecture yet.",
    )
    .action(async (options) => {
      const { quickstart, savingWords } = await import("../quickstart/quickstart.ts");
      const started = performance.now();
      let count = 0;
      const result = await attended((progress, stopped) =>
        quickstart({
          ...options,
          stopped,
          step: (title, why) => progress.end(`\n${++count}. ${title}. ${why}`),
          say: (text) => progress.end(`   ${text}`),
          progress: (at) => progress.update(() => runLine(`   step ${at.step} of ${at.steps}`, at, 2)),
        }),
      );
      if (options.json === true) return printJson(result);
      print("");
      print(styled("bold", savingWords(result)));
      print(`The curves: ${result.report} (${formatDuration((performance.now() - started) / 1000)} in all)`);
      print("");
      print("What to run next:");
      for (const line of next(options.out, result.models, options.corpus)) print(`  ${line}`);
    });
}

/** Commands that work on what was left, as they are to be typed here. */
function next(
  out: string,
  models: { readonly small: string; readonly grown: string; readonly large: string },
  corpus: readonly string[] | undefined,
): string[] {
  const { argv } = process;
  // Run from a clone the script is called by node; installed, by its name.
  const command = argv[1]?.endsWith(".js") ? `node ${relativeToHere(argv[1])}` : "bert2bert";
  const text = quoted(corpus?.[0] ?? `${out}/corpus.txt`);
  return [
    `${command} inspect ${quoted(models.large)}`,
    `${command} evaluate ${quoted(models.large)} --data ${quoted(`${out}/data`)}`,
    `${command} verify ${quoted(models.small)} ${quoted(models.grown)} --text ${text}`,
    `${command} grow ${quoted(models.large)} ${quoted(`${out}/larger`)} --method aki --layers 8 --hidden 128`,
    `${command} pretrain ${quoted(`${out}/grown.yaml`)} --set out=runs/larger --set model.from=larger`,
  ];
}

function relativeToHere(path: string): string {
  const here = `${process.cwd()}/`;
  return quoted(path.startsWith(here) ? path.slice(here.length) : path);
}

function quoted(path: string): string {
  return /^[\w./:@%+,-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
