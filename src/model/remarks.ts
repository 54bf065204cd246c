/** What is to be said of a model folder that is read otherwise than its owner may think, or won't do. Nothing of it is an error. */
import { adapterFile, presentOf } from "../checkpoint/folder.ts";
import { printable } from "../util/json.ts";
import { within } from "./classes.ts";
import { namedClass } from "./config.ts";
import { headWayOut } from "./head.ts";
import type { OpenModel } from "./load.ts";
import { has, OUTPUTS, type Outputs } from "./table.ts";

/** @param outputs of what is made of it; default: its own @returns sentences on the folder, which they don't name */
export async function remarks(open: OpenModel, outputs: Outputs = open.model.outputs): Promise<readonly string[]> {
  const { folder, model, config, weights } = open;
  const said: string[] = [];
  const named = namedClass(config);
  const known = model.architecture.classes.find(({ name }) => name === named);
  if (
    named !== undefined &&
    (known === undefined ||
      !within(
        known.outputs,
        OUTPUTS.filter((output) => has(model.outputs, output)),
      ))
  ) {
    const stored = namedClass(model.config);
    const read = stored === named ? "it is read without" : `it is read as ${stored}`;
    const why = known === undefined ? "" : " and not all of its heads are stored";
    said.push(`\`architectures\` names ${printable(named)}${why}: ${read}`);
  }
  const { headsLeftOut } = weights;
  if (headsLeftOut.length > 0) {
    const names = headsLeftOut.slice(0, 4).map(printable).join(", ");
    const more = headsLeftOut.length > 4 ? ` and ${headsLeftOut.length - 4} more` : "";
    said.push(`${names}${more} left out: heads that are not ${namedClass(model.config)}'s`);
  }
  if ((await presentOf(folder, [adapterFile])).length > 0) {
    said.push(
      `the adapter beside the weights (${adapterFile}) is not read: if it belongs to the model, merge it first (merge_and_unload in peft)`,
    );
  }
  if (outputs.lm === "none") said.push(`there is no language-model head, which pre-training needs: ${headWayOut}`);
  return said;
}
