/** `doctor`: the engines there are here, and how to get the ones there are not. */
import { availableParallelism, totalmem } from "node:os";
import type { Command } from "@commander-js/extra-typings";
import { packageVersion } from "../util/paths.ts";
import { print, printJson, table } from "./output.ts";

export function register(command: Command): void {
  command.option("--json", "print the result as JSON").action(async (options) => {
    const { engineKinds } = await import("../engine/engines.ts");
    const engines = await Promise.all(engineKinds.map(async ({ kind, probe }) => ({ kind, ...(await probe()) })));
    const automatic = engineKinds.filter(({ byNameOnly }) => byNameOnly !== true).map(({ kind }) => kind);
    const chosen = engines.find(({ usable, kind }) => usable && automatic.includes(kind))?.kind;
    const cores = availableParallelism();
    if (options.json === true) {
      printJson({ version: packageVersion(), node: process.version, cores, memory: totalmem(), chosen, engines });
      return;
    }
    const rows = engines.map((engine) => [
      engine.kind,
      engine.usable ? (engine.kind === chosen ? "chosen" : "usable") : "missing",
      engine.usable ? engine.description : engine.reason,
    ]);
    const machine = `bert2bert ${packageVersion()}, Node ${process.version}, ${cores} cores, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
    const hints = engines.flatMap((engine) => (engine.usable ? [] : [`hint: ${engine.kind}: ${engine.wayOut}`]));
    print([machine, "", table(rows), ...hints].join("\n"));
  });
}
