/** Places that the user who runs the command can't read or write. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fixture } from "../../../support.ts";
import { type Case, type Group, model } from "../support.ts";

const permission = { says: "<place>: no permission", hint: "change its permissions or choose another place" };

/** A folder that nobody may write. */
function closed(folder: string): string {
  const path = join(folder, "closed");
  mkdirSync(path);
  chmodSync(path, 0o555);
  return path;
}

const cause = "permissions; as another user, or in a container, a place may be read-only";

export const readOnly: Group = {
  title: "Places",
  cases: [
    {
      name: "grow into a folder that can't be written",
      words: (folder) => [
        "grow",
        fixture("bert-tiny"),
        join(closed(folder), "out"),
        "--method",
        "fpi",
        "--layers",
        "4",
      ],
      ...permission,
      cause,
    },
    {
      name: "init into a folder that can't be made",
      words: (folder) => ["init", fixture("bert-tiny", "config.json"), join(closed(folder), "a", "b")],
      ...permission,
      cause,
    },
    {
      name: "prepare into a folder that can't be written",
      words: (folder) => {
        writeFileSync(join(folder, "text.txt"), "word ".repeat(50));
        const usual = ["--tokenizer", fixture("tokenizers", "uncased"), "--length", "16", "--validation", "0"];
        return ["prepare", join(folder, "text.txt"), "--out", join(closed(folder), "out"), ...usual];
      },
      ...permission,
      cause,
    },
    {
      name: "weights that can't be read",
      words: (folder) => {
        closed(folder);
        const path = model(folder);
        chmodSync(join(path, "model.safetensors"), 0o000);
        return ["inspect", path];
      },
      ...permission,
      cause,
    },
  ] satisfies Case[],
};
