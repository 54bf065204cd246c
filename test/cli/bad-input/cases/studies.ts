/** Bad studies. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createModel } from "../../../../src/model/create.ts";
import { studyYaml, writeStudy } from "../../../study/support.ts";
import { type Case, type Group, smallBert } from "../support.ts";

const methods = "  scratch:\n  aki:\n";

/** A study that is good but for one thing. */
function study(name: string, sets: readonly string[], says: string, hint: string, cause: string): Case {
  const words = async (folder: string) => [
    ...["study", await writeStudy(folder, studyYaml(methods))],
    ...sets.flatMap((set) => ["--set", set]),
  ];
  return { name, words, says, hint, cause };
}

export const studies: Group = {
  title: "STUDY.yaml",
  cases: [
    study(
      "a method that nobody knows",
      ["methods.akki={}"],
      "study.yaml (methods.<name>): there is no method `<name>`",
      "did you mean `<name>`?; a method of your own says `growth` or `init`",
      "a typing error, or a method of one's own that says nothing of how it begins",
    ),
    study(
      "a growth that nobody knows",
      ["methods.own={growth: {method: dirct}}"],
      "--set methods.own: --method: there is no method `<name>`",
      "did you mean `<name>`?",
      "a typing error in a method's `growth`",
    ),
    study(
      "a plan that does not fit",
      ["methods.aki.plan=[{models: [{layers: 9, train: 1}]}]"],
      "--set methods.<name>: stage <name> runs <n> blocks of a model that has <n>",
      "change the plan, or the budget",
      "a plan for a deeper model",
    ),
    study(
      "a plan that ends with another model",
      ["methods.aki={init: {layers: 1}, plan: [{share: 0.5}, {grow: {layers: 3}}]}"],
      "--set methods.<name>: its plan ends with layers of <n>, the target has <n>",
      "let its last `grow` make the target, so that what is compared is one network",
      "a growth too many or too few",
    ),
    study(
      "copies of no layers",
      ["methods.aki={init: {layers: 0}, plan: [{share: 0.5}, {grow: {layers: 2}}]}"],
      "--set methods.<name>: --depth: the source has no layer that `<name>` could copy",
      "take zero or random: new layers are then drawn",
      "a model without layers has none to copy; a growth's `depth` is `stack` where none is named",
    ),
    study(
      "a plan longer than the budget",
      ["methods.aki.plan=[{steps: 500}, {}]"],
      "--set methods.<name>: the stages take <n> steps, the run has <n>",
      "change the plan, or the budget",
      "stages in steps that the budget does not pay",
    ),
    study(
      "a target smaller than the source",
      ["target.hidden=8"],
      "<file>: target: hidden would shrink from <n> to <n>",
      "give at least the source's <n>: models only grow",
      "source and target the wrong way round",
    ),
    {
      name: "a source without a language-model head",
      words: async (folder: string) => {
        const path = await writeStudy(folder, studyYaml(methods));
        await createModel({ ...smallBert, architectures: ["BertModel"] }, "bare", join(folder, "bare"), { seed: 1 });
        return ["study", path, "--set", `source={from: ${JSON.stringify(join(folder, "bare"))}}`];
      },
      says: "<folder>: it has no language-model head",
      hint: "draw one with `bert2bert grow … --add-head`",
      cause: "a bare encoder (BertModel), or a model fine-tuned for a task",
    },
    study(
      "a budget given twice",
      ["budget.tokens=1M"],
      "<file>: `budget` is neither tokens nor steps, or both",
      "give the tokens, or the steps, of the run from scratch",
      "tokens and steps, or none of them",
    ),
    {
      name: "a study without its reference",
      words: async (folder: string) => ["study", await writeStudy(folder, studyYaml("  aki:\n"))],
      says: "<file>: there is no method `scratch`",
      hint: "add it: the others are measured against it",
      cause: "nothing to compare with",
    },
    {
      name: "a study whose data is gone",
      words: async (folder: string) => {
        const path = await writeStudy(folder, studyYaml(methods));
        rmSync(join(folder, "data"), { recursive: true });
        return ["study", path];
      },
      says: "<folder>: no such folder",
      hint: "`bert2bert prepare` makes it from text",
      cause: "a path that is wrong, and no records of what it held",
    },
    study(
      "--only with a method the study has not",
      [],
      "--only: the study has no method `<name>`",
      "it has scratch, aki",
      "a typing error",
    ),
  ].map((one) => ({
    ...one,
    words: async (folder: string) => [
      ...(await one.words(folder)),
      ...(one.name.startsWith("--only") ? ["--only", "akki"] : []),
    ],
  })),
};
