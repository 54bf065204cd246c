/** What XLA's partitioner makes of a step on a mesh: which collectives, counted in what it compiles for two CPU devices. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lower } from "../../src/engine/xla/lower.ts";
import { splitOfInput, splitOfState } from "../../src/engine/xla/mesh.ts";
import { pythonOf } from "../../src/engine/xla/python.ts";
import { architectureOf } from "../../src/model/architectures.ts";
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
found = re.findall(r" (all-gather|all-reduce|all-to-all|reduce-scatter|collective-permute)(?:-start)?\\(", text)
print(json.dumps({kind: found.count(kind) for kind in set(found)}))
`;

test.skipIf(jax === undefined).each([
  { objective: "mlm", config: bertConfig },
  { objective: "clm", config: gpt2Config },
] as const)("$config.model_type with its batch split sends gradients, and nothing else", ({ objective, config }) => {
  const model = architectureOf(config, "a test").model(config, "a test");
  const loss = { objective, batch: 4, length: 16, perSequence: 3 };
  const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 } as const;
  const { layers } = model.dimensions;
  const form = { loss, model: { layers, train: layers }, head: true, accumulate: 1 };
  const { batch } = buildStep(model, form, rule);
  const mesh = { data: 2 };
  const { text, states, inputs, updates, outputs } = lower(batch, { halves: false }, mesh);
  const kept = states.map((leaf) => ({ ...leaf, split: splitOfState(mesh, leaf.shape) }));
  const given = inputs.map((leaf) => ({ ...leaf, split: splitOfInput(mesh, batch, leaf.name, leaf.shape) }));
  const results = [
    ...updates.map((name) => kept.find((leaf) => leaf.name === name)),
    ...outputs.map((leaf) => ({ ...leaf, split: [] })),
  ];
  const path = join(temporaryFolder(), "program.json");
  writeFileSync(path, JSON.stringify({ mesh, text, arguments: [...kept, ...given], results }));
  const found = JSON.parse(jax?.run(count, [path]) ?? "{}");
  console.log(`${config.model_type}: ${JSON.stringify(found)}`);
  expect(Object.keys(found)).toEqual(["all-reduce"]);
});
