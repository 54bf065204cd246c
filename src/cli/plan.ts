/** `bert2bert plan`: what a run will take. A few steps are timed; nothing is written. */
import type { Command } from "@commander-js/extra-typings";
import { gather, hubTelling, speed } from "./options.ts";
import { formatBytes, formatCount, formatDuration, note, print, printJson, table } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<run>", "a RUN.yaml")
    .option("--set <key.path=value>", "a key of the file, set anew (may be given again)", gather, [])
    .option("--speed <GFLOP/s>", "the speed to compute the time with (default: a few steps are run and timed)", speed)
    .option("--json", "print the estimate as JSON")
    .action(async (path: string, options) => {
      const { loadRun } = await import("../train/run/settings.ts");
      const { estimateRun } = await import("../train/estimate.ts");
      const run = await loadRun(path, options.set, hubTelling());
      const estimate = await estimateRun(run, { measure: options.speed === undefined, note });
      const { measured, left, done, steps, share } = estimate;
      const speed = options.speed ?? ("flops" in measured ? measured.flops / 1e9 : null);
      const seconds = speed === null ? null : left.exact / (speed * 1e9);
      if (options.json) return printJson({ ...estimate, speed, seconds });
      const time =
        seconds === null ? "not known: give --speed" : `${formatDuration(seconds)} at ${speed?.toPrecision(3)} GFLOP/s`;
      const flops = (count: number) => `${count.toExponential(2)} FLOPs`;
      const facts: (readonly [string, string])[] = [
        ["model", `${estimate.architecture}, ${formatCount(estimate.parameters)} parameters`],
        ["steps", `${estimate.steps} (${formatCount(estimate.tokens)} tokens)`],
        ["memory", `${formatBytes(estimate.memory.state)} parameters and moments`],
        ["", `${formatBytes(estimate.memory.working)} working, at least`],
        ...(share === undefined
          ? []
          : ([
              ["mesh", `${share.devices} devices, of parameters and moments each keeps ${formatBytes(share.kept)}`],
              ["", `a step gathers ${formatBytes(share.gathered)}, adds up ${formatBytes(share.reduced)} of gradients`],
            ] as const)),
        ["cost", `${flops(estimate.flops.exact)} as run`],
        ["", `${flops(estimate.flops.paper)} by the paper's convention`],
        ["time", done === 0 ? time : `${time}, for the ${steps - done} steps that are left`],
        [
          "",
          "flops" in measured
            ? `measured in ${measured.steps} steps of stage ${measured.stage}, on ${measured.engine}`
            : `computed, no step was run: ${measured.unmeasured}`,
        ],
      ];
      if (estimate.advice !== undefined) facts.push(["advice", estimate.advice]);
      for (const [name, value] of facts) print(`${name.padEnd(8)}${value}`);
      print("");
      const rows = estimate.stages.flatMap((stage) =>
        stage.models.map((model, i) => [
          i === 0 ? stage.name : "",
          i === 0 ? String(stage.steps) : "",
          model.blocks === undefined
            ? `bottom ${model.layers}, top ${model.train} trained`
            : `all ${model.layers}, trained ${model.blocks.join(" ")}`,
          formatCount(model.trained),
          model.flops.exact.toExponential(2),
        ]),
      );
      print(table([["stage", "steps", "blocks", "trained", "FLOPs a step"], ...rows]));
    });
}
