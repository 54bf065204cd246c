/** A run's event file, read by TensorBoard's own reader: every value of metrics.jsonl, also after a run went on. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { scalarsOf } from "../../src/train/run/events.ts";
import { openMetrics, readMetrics } from "../../src/train/run/metrics.ts";
import { inProcess } from "../cli/bad-input/support.ts";
import { python, temporaryFolder } from "../support.ts";
import { bertConfig, writeData, writeRun } from "../train/data.ts";

const peer = python(["tensorboard"]);

const script = `
import sys, json
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
print(json.dumps({tag: [[e.step, e.wall_time, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
`;

describe.skipIf(peer === undefined)("TensorBoard", () => {
  it("reads what the metrics say", async () => {
    const folder = temporaryFolder();
    await writeData(join(folder, "data"));
    const yaml = "model: {init: config.json}\ndata: {from: data}\nobjective: mlm\nsteps: 12\nbatch: {sequences: 4}\n";
    const more = "out: run\noptimizer: {lr: 0.001}\nlog: {every: 2}\nevaluate: {every: 4}\n";
    const run = await writeRun(folder, bertConfig, yaml + more);
    expect(await inProcess(["pretrain", run])).toMatchObject({ code: 0 });
    const out = join(folder, "run");
    const held = async () => {
      const wanted: Record<string, [number, number, number][]> = {};
      for (const line of await readMetrics(join(out, "metrics.jsonl"))) {
        for (const [tag, value] of Object.entries(scalarsOf(line))) {
          wanted[tag] = [...(wanted[tag] ?? []), [line.step, line.seconds, Math.fround(value)]];
        }
      }
      expect(JSON.parse(peer?.run(script, [out]) ?? "")).toEqual(wanted);
      return wanted;
    };
    expect(Object.keys(await held())).toEqual(expect.arrayContaining(["train/loss", "train/rate", "validation/loss"]));
    // A run that goes on from a checkpoint drops what comes after it here too, and leaves whole records.
    const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n").length;
    const metrics = await openMetrics(join(out, "metrics.jsonl"), lines - 3);
    await metrics.close();
    await held();
  });
});
