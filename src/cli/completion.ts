/** `completion SHELL`: what a shell needs to complete commands and options, made from the commands themselves. */
import { Argument, Command } from "@commander-js/extra-typings";
import { print } from "./output.ts";

type Known = readonly { readonly name: string; readonly about: string; readonly options: readonly string[] }[];

const scripts: Readonly<Record<string, (known: Known) => string>> = {
  bash: (known) => `_bert2bert() {
  local word="\${COMP_WORDS[COMP_CWORD]}" options=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${known.map(({ name }) => name).join(" ")} help" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${known.map(({ name, options }) => `    ${name}) options="${options.join(" ")}" ;;`).join("\n")}
  esac
  case "$word" in -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;; *) COMPREPLY=() ;; esac
}
complete -o default -o bashdefault -F _bert2bert bert2bert`,
  zsh: (known) => `#compdef bert2bert
_bert2bert() {
  local -a commands=(${known.map(({ name, about }) => `'${name}:${quoted(about)}'`).join(" ")})
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  local -a options=()
  case $words[2] in
${known.map(({ name, options }) => `    ${name}) options=(${options.join(" ")}) ;;`).join("\n")}
  esac
  if [[ $PREFIX == -* ]]; then compadd -- $options; else _files; fi
}
if [[ $funcstack[1] == _bert2bert ]]; then _bert2bert "$@"; else compdef _bert2bert bert2bert; fi`,
  fish: (known) =>
    known
      .flatMap(({ name, about, options }) => [
        `complete -c bert2bert -n __fish_use_subcommand -f -a ${name} -d '${quoted(about)}'`,
        ...options.map(
          (option) => `complete -c bert2bert -n '__fish_seen_subcommand_from ${name}' -l ${option.slice(2)}`,
        ),
      ])
      .join("\n"),
};

function quoted(text: string): string {
  return text.replaceAll("'", "").replaceAll(":", " -");
}

export function register(command: Command): void {
  command
    .addArgument(new Argument("<shell>", "whose").choices(Object.keys(scripts)))
    .addHelpText(
      "after",
      '\nbash: eval "$(bert2bert completion bash)" in ~/.bashrc; zsh: the same in ~/.zshrc after compinit; fish:\nbert2bert completion fish > ~/.config/fish/completions/bert2bert.fish',
    )
    .action(async (shell: string) => {
      const { commands } = await import("./commands.ts");
      const known = await Promise.all(
        commands.map(async ({ name, description, load }) => {
          const one = new Command(name);
          (await load()).register(one);
          const all = [one, ...one.commands].flatMap(({ options }) => options.flatMap(({ long }) => long ?? []));
          return { name, about: description, options: [...new Set([...all, "--help"])] };
        }),
      );
      print(scripts[shell](known));
    });
}
