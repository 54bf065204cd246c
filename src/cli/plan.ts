/** `bert2bert plan`: what a run will take. Nothing runs. */
import type { Command } from "commander";
import { UserError } from "../util/errors.ts";
import { formatBytes, formatCount, formatDuration, print, printJson, table } from "./output.ts";

interface Options {
  readonly set: readonly string[];
  readonly speed: number;
  readonly json?: boolean;
}

export function register(command: Command): void {
  command
    .argument("<run>", "a RUN.yaml")
    .option("--set <key.path=value>", "a key of the file, set anew (may be given again)", gather, [])
    .option("--speed <GFLOP/s>", "the speed to reckon the time with", speed, 100)
    .option("--json", "print the estimate as JSON")
    .action(async (path: string, options: Options) => {
      const { loadRun } = await import("../train/run/settings.ts");
      const { estimateRun } = await import("../train/estimate.ts");
      const estimate = await estimateRun(await loadRun(path, options.set));
      const seconds = estimate.flops.exact / (options.speed * 1e9);
      if (options.json) {
        const stages = estimate.stages.map((stage) => ({
          ...stage,
          flops: { ...stage.flops },
          models: stage.models.map((model) => ({ ...model, flops: { ...model.flops } })),
        }));
        printJson({
          ...estimate,
          stages,
          flops: { ...estimate.flops },
          memory: { ...estimate.memory },
          speed: options.speed,
          seconds,
        });
        return;
      }
      const flops = (count: number) => `${count.toExponential(2)} FLOPs`;
      const facts: [string, string][] = [
        ["model", `${estimate.architecture}, ${formatCount(estimate.parameters)} parameters`],
        ["steps", `${estimate.steps} (${formatCount(estimate.tokens)} tokens)`],
        ["memory", `${formatBytes(estimate.memory.state)} parameters and moments`],
        ["", `${formatBytes(estimate.memory.working)} working, at least`],
        ["cost", `${flops(estimate.flops.exact)} as run`],
        ["", `${flops(estimate.flops.paper)} by the paper's convention`],
        ["time", `${formatDuration(seconds)} at ${options.speed} GFLOP/s`],
      ];
      for (const [name, value] of facts) print(`${name.padEnd(8)}${value}`);
      print("");
      const rows = estimate.stages.flatMap((stage) =>
        stage.models.map((model, i) => [
          i === 0 ? stage.name : "",
          i === 0 ? String(stage.steps) : "",
          `bottom ${model.layers}, top ${model.train} trained`,
          formatCount(model.trained),
          model.flops.exact.toExponential(2),
        ]),
      );
      print(table([["stage", "steps", "blocks", "trained", "FLOPs a step"], ...rows]));
    });
}

function gather(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function speed(text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new UserError(`\`${text}\` is no number above 0`, "--speed", "give GFLOP/s, such as 100");
}
