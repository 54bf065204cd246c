/**
 * `pretrain --find-rate` against a plain PyTorch loop of the same sweep, in float64: the loss of each step, of gradients
 * gathered over several batches, clipped and followed by AdamW with decay, at a rate that grows from step to step.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { trainingBatch } from "../../src/data/batch/batches.ts";
import { openDataset } from "../../src/data/prepared/dataset.ts";
import { createModel } from "../../src/model/create.ts";
import { findRate } from "../../src/train/find-rate.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { python, temporaryFolder } from "../support.ts";
import { gpt2Config, writeData } from "../train/data.ts";

const peer = python(["torch", "transformers"]);
const root = temporaryFolder();

const script = `
import json, sys, torch, transformers
torch.set_num_threads(1)
folder, path = sys.argv[1:]
model = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64).train()
groups = [dict(params=[p], weight_decay=0.1 if p.ndim > 1 else 0.0) for p in model.parameters()]
optimizer = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.95), eps=1e-6)
given = json.load(open(path))
losses = []
for i, batches in enumerate(given["batches"]):
    for group in optimizer.param_groups:
        group["lr"] = 1e-7 * (1.0 / 1e-7) ** (i / (given["steps"] - 1))
    optimizer.zero_grad()
    total = 0.0
    for ids in batches:
        loss = model(input_ids=torch.tensor(ids), labels=torch.tensor(ids)).loss / len(batches)
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    losses.append(total)
print(json.dumps(losses))
`;

test.skipIf(peer === undefined)("the sweep's losses are a PyTorch loop's", async () => {
  await writeData(join(root, "data"));
  const still = { resid_pdrop: 0, embd_pdrop: 0, attn_pdrop: 0 };
  await createModel({ ...gpt2Config, ...still }, "config.json", join(root, "start"), { seed: 5 });
  const [steps, batch] = [60, { sequences: 4, accumulate: 2 }];
  const settings = {
    ...{ out: "out", model: { from: "start" }, data: { from: "data" }, objective: "clm", batch, steps: 3, seed: 4 },
    optimizer: { lr: 1e-4, dropout: 0, weight_decay: 0.1, betas: [0.9, 0.95], clip: 0.5 },
    engine: { kind: "onnx", threads: 1, precision: "f32" },
  };
  writeFileSync(join(root, "run.yaml"), JSON.stringify(settings));
  const { curve } = await findRate(await loadRun(join(root, "run.yaml")), steps);
  const dataset = await openDataset(join(root, "data"));
  const batches = curve.map((_, step) =>
    [0, 1].map((micro) => {
      const shape = { ...batch, masked: 0.15 };
      const { ids } = trainingBatch(dataset, { objective: "clm", seed: 4, step, micro, batch: shape });
      return Array.from({ length: 4 }, (_, row) => Array.from(ids.subarray(row * 16, (row + 1) * 16)));
    }),
  );
  dataset.close();
  writeFileSync(join(root, "batches.json"), JSON.stringify({ steps, batches }));
  const wanted: number[] = JSON.parse(peer?.run(script, [join(root, "start"), join(root, "batches.json")]) ?? "[]");
  expect(curve.length).toBe(wanted.length);
  // Until rates at which every step multiplies what float32 rounds away.
  const calm = curve.filter(({ rate }) => rate < 0.02);
  expect(calm.length).toBeGreaterThan(40);
  for (const [step, { loss }] of calm.entries()) {
    expect(Math.abs(loss - wanted[step]), `step ${step + 1}`).toBeLessThan(1e-5);
  }
  expect(Math.abs(calm[calm.length - 1].loss - calm[0].loss)).toBeGreaterThan(0.1);
});
