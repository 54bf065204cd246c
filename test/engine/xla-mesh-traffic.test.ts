/**
 * What XLA's partitioner makes of a step on a mesh: which collectives, counted in what it compiles for two CPU devices, and
 * what `plan` says of them beforehand.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lower } from "../../src/engine/xla/lower.ts";
import { type Mesh, shareOf, splitOfInput, splitOfState } from "../../src/engine/xla/mesh.ts";
import { pythonOf } from "../../src/engine/xla/python.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { parameterCount } from "../../src/model/table.ts";
import { size } from "../../src/program/graph.ts";
import { layoutOf } from "../../src/train/step/state.ts";
import { buildStep } from "../../src/train/step/step.ts";
import { python, temporaryFolder } from "../support.ts";
import { bertConfig, gpt2Config } from "../train/data.ts";

const jax = python(["jax"], pythonOf());

const count = `
import dataclasses, json, re, sys
import jax, jax.export, numpy as np
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
head = json.load(open(sys.argv[1]))
mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(list(head["mesh"].values())), list(head["mesh"]))
lying = lambda split: jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*[tuple(axes) for axes in split]))
kinds = {"f32": np.float32, "i32": np.int32}
given = [jax.ShapeDtypeStruct(a["shape"], kinds[a["dtype"]]) for a in head["arguments"]]
stub = jax.jit(lambda *a: tuple(jax.numpy.zeros(r["shape"], kinds[r["dtype"]]) for r in head["results"]), keep_unused=True)
exported = jax.export.export(stub, platforms=["cpu"])(*given)
exported = dataclasses.replace(exported, mlir_module_serialized=head["text"].encode())
shardings = lambda leaves: tuple(lying(leaf["split"]) for leaf in leaves)
jitted = jax.jit(exported.call, in_shardings=shardings(head["arguments"]), out_shardings=shardings(head["results"]), keep_unused=True)
text = jitted.lower(*given).compile().as_text()
kinds = "all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute"
sent = {}
for types, kind in re.findall(r" = (\\(.*?\\)|\\S+) (" + kinds + r")(?:-start)?\\(", text):
    shapes = re.findall(r"[fs]32\\[([\\d,]*)\\]", types)
    sent[kind] = sent.get(kind, 0) + sum(4 * int(np.prod([int(n) for n in dims.split(",") if n])) for dims in shapes)
memory = jitted.lower(*given).compile().memory_analysis()
print(json.dumps({"sent": sent, "kept": memory.argument_size_in_bytes}))
`;

interface Case {
  readonly objective: "mlm" | "clm";
  readonly config: typeof bertConfig | typeof gpt2Config;
}
const cases: readonly Case[] = [
  { objective: "mlm", config: bertConfig },
  // Its rows divide among nobody: the columns do.
  { objective: "clm", config: { ...gpt2Config, vocab_size: 301 } },
];

function compiled({ objective, config }: Case, mesh: Mesh) {
  const model = architectureOf(config, "a test").model(config, "a test");
  const loss = { objective, batch: 4, length: 16, perSequence: 3 };
  const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 } as const;
  const { layers } = model.dimensions;
  const form = { loss, model: { layers, train: layers }, head: true, accumulate: 1 };
  const { batch } = buildStep(model, form, rule);
  const layout = layoutOf(model);
  const { text, states, inputs, updates, outputs } = lower(batch, { halves: false }, mesh, layout);
  const kept = states.map((leaf) => ({ ...leaf, split: splitOfState(mesh, leaf.shape, layout.get(leaf.name)) }));
  const given = inputs.map((leaf) => ({ ...leaf, split: splitOfInput(mesh, batch, leaf.name, leaf.shape) }));
  const results = [
    ...updates.map((name) => kept.find((leaf) => leaf.name === name)),
    ...outputs.map((leaf) => ({ ...leaf, split: [] })),
  ];
  const path = join(temporaryFolder(), "program.json");
  writeFileSync(path, JSON.stringify({ mesh, text, arguments: [...kept, ...given], results }));
  const found: { sent: Record<string, number>; kept: number } = JSON.parse(jax?.run(count, [path]) ?? "");
  console.log(`${model.architecture.type}, ${Object.keys(mesh)}: ${JSON.stringify(found)}`);
  const bytes = 4 * inputs.reduce((sum, { shape }) => sum + size(shape), 0);
  return { ...found, inputs: bytes, share: shareOf(batch, mesh, layout, false), model };
}

describe.skipIf(jax === undefined).each(cases)("$config.model_type", (form) => {
  test("with its batch split sends gradients, and nothing else", () => {
    expect(Object.keys(compiled(form, { data: 2 }).sent)).toEqual(["all-reduce"]);
  });

  test("with its states split gathers them, adds up gradients, and keeps what `plan` says", () => {
    const { sent, kept, inputs, share, model } = compiled(form, { fsdp: 2 });
    expect(Object.keys(sent)).not.toContain("all-to-all");
    expect(kept).toBeGreaterThanOrEqual(share.kept);
    expect(kept).toBeLessThanOrEqual(share.kept + inputs);
    expect(sent["all-gather"]).toBe(share.gathered);
    expect(share.reduced).toBe(4 * parameterCount(model.parameters));
  });
});

test("a table is not split along its rows, a norm not at all", () => {
  const { config } = cases[1];
  const model = architectureOf(config, "a test").model(config, "a test");
  const layout = layoutOf(model);
  const of = (name: string) => [name, `m/${name}`, `v/${name}`, `sum/${name}`].map((each) => layout.get(each));
  expect(of("transformer.wte.weight")).toEqual([[1], [1], [1], [1]]);
  expect(of("transformer.h.0.mlp.c_fc.weight")).toEqual([
    [0, 1],
    [0, 1],
    [0, 1],
    [0, 1],
  ]);
  expect(of("transformer.ln_f.weight")).toEqual([[], [], [], []]);
});
