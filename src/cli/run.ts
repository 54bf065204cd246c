/**
 * A command line as a function: finds the command, loads its file, runs it, and turns whatever is thrown into one message
 * and an exit code. 0: done. 1: the check asked for failed (the action sets process.exitCode). 2: the user's input is
 * wrong. 70: a defect of ours. 130, 143: interrupted after saving. Results go to stdout, all else to stderr.
 */
import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Interrupted, suggestion, UserError } from "../util/errors.ts";
import { packageVersion } from "../util/paths.ts";
import { systemError } from "../util/system.ts";
import { commands } from "./commands.ts";
import { placeModels } from "./options.ts";
import { note } from "./output.ts";

/** Runs a command line. @param words without the program's name @returns the exit code; 0 where the action may set its own */
export async function run(words: readonly string[]): Promise<number> {
  try {
    await main(words);
    return 0;
  } catch (error) {
    return report(error);
  }
}

async function main(words: readonly string[]): Promise<void> {
  const program = new Command("bert2bert")
    .description(
      "Grow a small pre-trained BERT, RoBERTa, ModernBERT, GPT-2, Llama, Mistral or Qwen into a bigger one, prove what the growth kept, and carry its pre-training on.",
    )
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print a command's help")
    .addHelpText("after", "\n`bert2bert COMMAND --help` explains a command.");
  // Only the command that is meant is loaded; the others are there by name, for the list and for `help`.
  const meant = words[0] === "help" ? words[1] : words[0];
  for (const entry of commands) {
    const command = program.command(entry.name).description(entry.description);
    if (entry.name === meant) (await entry.load()).register(command);
  }
  const names = commands.map((entry) => entry.name);
  if (meant !== undefined && !meant.startsWith("-") && meant !== "help" && !names.includes(meant)) {
    const wayOut = `${suggestion(meant, names)} (\`bert2bert --help\` lists them)`;
    throw new UserError(`there is no command \`${meant}\``, "bert2bert", wayOut);
  }
  govern(program);
  program.hook("preAction", (_, command) => placeModels(command));
  if (words.length === 0) {
    program.outputHelp();
    return;
  }
  await program.parseAsync([...words], { from: "user" });
}

/** Makes the parser throw instead of printing and exiting, each command knowing its own options for a suggestion. */
function govern(command: CommandUnknownOpts): void {
  command.configureOutput({ outputError: () => {} }).showSuggestionAfterError(false);
  command.exitOverride((error) => {
    throw explain(error, command);
  });
  for (const inner of command.commands) govern(inner);
}

function explain(error: CommanderError, command: CommandUnknownOpts): Error {
  // Help or the version was printed; a group of commands without one of them prints its help as an error.
  if (error.exitCode === 0 || error.code === "commander.help") return error;
  const where = path(command);
  const message = error.message.replace(/^error: /, "").replace(/\.$/, "");
  const help = `\`${where} --help\` explains it`;
  const unknown = /^unknown (?:option|command) '(.*)'$/.exec(message)?.[1];
  if (unknown !== undefined) {
    const known = unknown.startsWith("-")
      ? [...command.options.flatMap((option) => option.long ?? option.short ?? []), "--help"]
      : command.commands.map((inner) => inner.name());
    return new UserError(message.replaceAll("'", "`"), where, `${suggestion(unknown, known)} (${help})`);
  }
  return new UserError(message.replaceAll("'", "`"), where, help);
}

function path(command: CommandUnknownOpts): string {
  return command.parent === null ? command.name() : `${path(command.parent)} ${command.name()}`;
}

/** Prints what was thrown, for a person. @returns the exit code */
export function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  // What failed says more than that what it had open could not be closed.
  const error = systemError(thrown instanceof Error && "suppressed" in thrown ? thrown.suppressed : thrown);
  const debug = process.env.DEBUG?.split(",").includes("bert2bert") === true;
  if (debug && error instanceof Error) {
    note(
      [error.stack, error.cause]
        .filter((part) => part !== undefined)
        .map(String)
        .join("\n"),
    );
  }
  if (error instanceof Interrupted) {
    note(error.message);
    return error.signal === "SIGINT" ? 130 : 143;
  }
  if (error instanceof UserError) {
    note(`error: ${error.message}`);
    return 2;
  }
  const message = error instanceof Error ? error.message : String(error);
  note(`error: bert2bert: this is a defect: ${message}`);
  note("hint: run it again with DEBUG=bert2bert and report what it prints");
  return 70;
}
