/** `bert2bert advise`: whether growing pays, from what was measured and what papers found. Nothing is written. */
import type { Command } from "@commander-js/extra-typings";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { modelFolder, share as shareOption } from "./options.ts";
import { note, print, printJson } from "./output.ts";
import { sizeOptions, targetOf } from "./sizes.ts";

export function register(command: Command): void {
  sizeOptions(command.argument("<source>", "a model folder that could be grown", modelFolder))
    .requiredOption("--tokens <n>", "what the target is to be trained on, such as 20M")
    .option("--dropout <rate>", "in that training (default: the target config's)", shareOption("--dropout", 1))
    .option("--json", "print the estimates as JSON")
    .addHelpText(
      "after",
      "\nThe cells that it rests on are ours (docs/results/grid.json), small networks all; the papers' figures stand beside\nthem. Savings are of the FLOPs that training the target from scratch to the same loss takes.",
    )
    .action(async (folder, options) => {
      const [{ advise, adviceLine, settingOf, settingText, share }, { openModel }, { countOf }] = await Promise.all([
        import("../advise/advise.ts"),
        import("../model/load.ts"),
        import("../util/settings.ts"),
      ]);
      const tokens = countOf(options.tokens);
      if (tokens === undefined) {
        throw new UserError(`\`${options.tokens}\` is not a whole number above 0`, "--tokens", "give one, such as 20M");
      }
      await using keep = keeping();
      const { model } = keep(await openModel(folder, { compareCopies: false }));
      const setting = settingOf(model, await targetOf(model, options), tokens, options.dropout);
      const estimates = await advise(setting);
      if (options.json === true) return printJson({ setting, estimates });
      note(`${setting.architecture}, ${settingText(setting)}, dropout ${setting.dropout}`);
      for (const estimate of estimates) {
        print(adviceLine(estimate));
        for (const { study, at, saving, apart } of estimate.nearest.slice(1)) {
          print(`  measured: ${study}, ${at}: ${share(saving)} (apart ${apart.toFixed(1)})`);
        }
        for (const { method, title, says, saving } of estimate.papers) {
          print(`  claimed: ${method}, ${title}: ${share(saving)} (${says})`);
        }
      }
    });
}
