/** `push FOLDER NAME`: a model folder, its card included, to the Hugging Face Hub. */
import type { Command } from "@commander-js/extra-typings";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { modelFolder } from "./options.ts";
import { note, Progress, print, printJson } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<folder>", "a model folder, or a run's", modelFolder)
    .argument("<name>", "org/name[@branch][/subfolder]; made where it is missing")
    .option("--private", "a repository that is made is seen by its owners alone")
    .option("--message <text>", "of the commit")
    .option("--json", "print the result as JSON")
    .addHelpText("after", "\nNeeds HF_TOKEN, a token that may write. HF_ENDPOINT names another Hub.")
    .action(async (folder: string, name: string, options: { private?: true; message?: string; json?: true }) => {
      const [{ hubName }, { pushModel }] = await Promise.all([import("../hub/name.ts"), import("../hub/push.ts")]);
      const target = hubName(name);
      if (target === undefined)
        throw new UserError("it is no name on the Hub", name, "give org/name, such as me/my-bert");
      const progress = new Progress();
      await using keep = keeping();
      keep({ close: () => progress.end() });
      const { commit, url, files } = await pushModel(folder, target, {
        ...options,
        progress: (file, done) => progress.update(() => `${file} ${(100 * done).toFixed(0)} %`),
      });
      progress.end();
      if (options.json) return printJson({ commit, url, files });
      note(`${files.length} files, commit ${commit.slice(0, 8)}`);
      print(url);
    });
}
