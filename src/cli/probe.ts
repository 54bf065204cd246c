/** `bert2bert probe`: what a checkpoint computes for given inputs, to compare with any other implementation. */
import { availableParallelism } from "node:os";
import type { Command } from "@commander-js/extra-typings";
import { keeping } from "../util/closing.ts";
import { modelFolder } from "./options.ts";
import { print, printJson } from "./output.ts";

export function register(command: Command): void {
  command
    .argument("<folder>", "a model folder", modelFolder)
    .requiredOption(
      "--inputs <file>",
      "safetensors with input_ids, and where wanted attention_mask, token_type_ids, labels, next_sentence_label",
    )
    .requiredOption("--out <file>", "safetensors to write: logits, nsp_logits, pooler, hidden.<i>, loss, grad/<name>")
    .option("--gradients", "the loss's gradient for every parameter, too")
    .option(
      "--engine <kind>",
      "what computes it: onednn, onnx, xla, reference (float64, slow), or the first that can run here",
      "auto",
    )
    .option("--json", "print the result as JSON")
    .action(async (folder: string, options) => {
      const { openEngine } = await import("../engine/engines.ts");
      const { openModel } = await import("../model/load.ts");
      const { readProbeInputs } = await import("../probe/inputs.ts");
      const { probe, writeProbe } = await import("../probe/probe.ts");
      await using keep = keeping();
      const { model, weights } = keep(await openModel(folder));
      const inputs = await readProbeInputs(options.inputs, model);
      const chosen = { kind: options.engine, threads: availableParallelism(), precision: "f32" } as const;
      const engine = keep(await openEngine(chosen));
      const tensors = await probe(model, weights, inputs, engine, { gradients: options.gradients ?? false });
      await writeProbe(options.out, tensors);
      const loss = tensors.get("loss")?.data[0];
      if (options.json) printJson({ out: options.out, tensors: [...tensors.keys()], loss: loss ?? null });
      else print(`${options.out}: ${tensors.size} tensors${loss === undefined ? "" : `, loss ${loss}`}`);
    });
}
