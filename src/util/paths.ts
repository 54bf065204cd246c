/**
 * Where the package's own files are, whether it runs from `src/` (tests) or from `dist/` (as installed).
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The folder that holds package.json. This file lies two levels below it, in src/ as in dist/. */
export function packageRoot(): string {
  return fileURLToPath(new URL("../../", import.meta.url));
}

let version: string | undefined;

/** The package's version, as package.json says. */
export function packageVersion(): string {
  if (version === undefined) {
    const { version: found }: { version: string } = JSON.parse(readFileSync(`${packageRoot()}/package.json`, "utf8"));
    version = found;
  }
  return version;
}
