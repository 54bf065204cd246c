/**
 * SPARKLING's aims, measured: activations of random models keep their RMS at any width, where DirectCopy's do not; of the
 * optimizer's state what old units have goes on and what new ones would have is 0.
 */
import { describe, expect, it } from "vitest";
import { planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { evaluate } from "../../src/growth/recipe.ts";
import { indexAlong, newUnits } from "../../src/growth/width.ts";
import { type Model, resizeModel } from "../../src/model/architecture.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { elements, shapeOf } from "../../src/model/table.ts";
import { probe } from "../../src/probe/probe.ts";
import { randomInputs } from "../../src/probe/verify.ts";
import { RandomStream } from "../../src/util/random.ts";
import { grown, reference } from "./support.ts";

const sizes = { layers: 2, hidden: 48, heads: 6, headWidth: 8, ffn: 96 };

function model(type: string, tied: boolean): Model {
  const config = { model_type: type, vocab_size: 61, tie_word_embeddings: tied, pad_token_id: 1 };
  const positions = { max_position_embeddings: 16, n_positions: 16 };
  return resizeModel(architectureOf(config, type).model({ ...config, ...positions }, type), sizes, type);
}

/** Weights as after some training: matrices three times as large as they are drawn, gains about 1. */
function trained({ parameters }: Model, seed: number) {
  return {
    async readF32(name: string, start = 0, count?: number) {
      const parameter = parameters.find((one) => one.name === name);
      if (parameter === undefined) throw new Error(`no ${name}`);
      const random = new RandomStream(seed, name);
      const [mean, std] = parameter.part === "norm-gain" ? [1, 0.1] : [0, parameter.dims.length === 2 ? 0.06 : 0.02];
      const length = count ?? elements(parameter) - start;
      return Float32Array.from({ length }, (_, i) => mean + std * random.normal(start + i));
    },
  };
}

const rms = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

/**
 * How far, in the logarithm, the RMS of each hidden state and of the logits is from the source's. With a tied head the last
 * state is read by a smaller factor, as it is by every method: its logits tell.
 */
async function changes(
  from: Model,
  size: TargetSizes,
  method: string,
  seed: number,
): Promise<readonly (readonly [string, number])[]> {
  const weights = trained(from, seed);
  const inputs = randomInputs(from, seed, 2, 8);
  const plan = planGrowth(from, resizedModel(from, size), { method, map: "random", seed });
  const to = grown(plan, { weights });
  const engine = await reference();
  const before = await probe(from, weights, inputs, engine, { gradients: false });
  await engine.drop(engine.names());
  const after = await probe(to.model, to.weights, inputs, engine, { gradients: false });
  await engine.close();
  const last = `hidden.${from.dimensions.layers}`;
  const states = [...before].filter(([name]) => /^(hidden\.\d+|logits)$/.test(name) && name !== last);
  return states.map(([name, { data }]) => [name, Math.log(rms(after.get(name)?.data ?? data) / rms(data))] as const);
}

const wider: readonly TargetSizes[] = [{ hidden: 96, ffn: 192 }, { hidden: 80, ffn: 130 }, { ffn: 300 }];

describe.each([
  ["gpt2", true],
  ["llama", false],
  ["bert", true],
] as const)("sparkling, %s, tied %s", (type, tied) => {
  it("keeps the RMS of hidden states and logits in the mean over draws, at any width", async () => {
    const from = model(type, tied);
    const draws = [1, 2, 3, 4];
    for (const size of wider) {
      const found = await Promise.all(draws.map((seed) => changes(from, size, "sparkling", seed)));
      for (const [i, [name]] of found[0].entries()) {
        const mean = found.reduce((sum, states) => sum + states[i][1], 0) / draws.length;
        expect(Math.abs(mean), `${JSON.stringify(size)}: ${name} × ${Math.exp(mean)}`).toBeLessThan(0.07);
      }
    }
    const far = (await changes(from, wider[0], "direct", 1)).map(([, change]) => Math.abs(change));
    expect(Math.max(...far)).toBeGreaterThan(0.2);
  });
});

describe("sparkling", () => {
  const from = model("gpt2", true);
  const plan = planGrowth(from, resizedModel(from, wider[0]), { method: "sparkling", moments: "grow" });
  const read = trained(from, 4).readF32;

  it("promises nothing of the function, and keeps all where the width stays", () => {
    expect(plan.promise.kind).toBe("none");
    const deeper = planGrowth(from, resizedModel(from, { layers: 5 }), { method: "sparkling", depth: "zero" });
    expect(deeper.promise.kind).toBe("exact");
  });

  it("lets the moments of old units go on, starts those of new ones at 0, and counts steps anew where it does", async () => {
    let [old, fresh] = [0, 0];
    for (const { parameter, weight, moments } of plan.parameters) {
      const isNew = parameter.dims.map((dim) => newUnits(plan.growth, dim));
      const index = parameter.dims.map((dim) => indexAlong(plan.growth, dim));
      const source = from.parameters.find(({ name }) => name === parameter.name);
      const own = await read(parameter.name);
      const [rows, width] = parameter.dims.length === 2 ? shapeOf(parameter) : [1, elements(parameter)];
      const sourceWidth = source === undefined ? 0 : (shapeOf(source).at(-1) ?? 0);
      const any = isNew.some((marks) => marks.includes(1));
      expect(moments?.stepsOf, parameter.name).toBe(any ? undefined : parameter.name);
      for (const recipe of moments === undefined ? [] : [moments.m, moments.v]) {
        const values = await evaluate(recipe, { read });
        const weights = await evaluate(weight, { read });
        let [wrong, sized] = [0, 0];
        values.forEach((value, i) => {
          const at = rows === 1 ? [i] : [Math.floor(i / width), i % width];
          const source = rows === 1 ? index[0][i] : index[0][at[0]] * sourceWidth + index[1][at[1]];
          const made = at.some((unit, d) => isNew[d][unit] === 1);
          if (value !== (made ? 0 : own[source])) wrong++;
          // A new unit's weights are as large as those they are made from.
          const scale = Math.abs(weights[i] / own[source]);
          if ([1, Math.SQRT1_2].some((one) => Math.abs(scale - one) < 1e-5)) sized++;
          if (made) fresh++;
          else old++;
        });
        expect(wrong, parameter.name).toBe(0);
        expect(sized, parameter.name).toBe(values.length);
      }
    }
    expect(Math.min(old, fresh)).toBeGreaterThan(1000);
  });

  it("makes no copies: new weights have as many signs of one kind as of the other", async () => {
    const found = plan.parameters.find(({ parameter }) => parameter.dims.length === 2 && parameter.layer === 1);
    if (found === undefined) throw new Error("no matrix in a block");
    const values = await evaluate(found.weight, { read });
    const own = await read(found.parameter.name);
    const source = from.parameters.find(({ name }) => name === found.parameter.name);
    const [index, columns] = found.parameter.dims.map((dim) => indexAlong(plan.growth, dim));
    const width = columns.length;
    const sourceWidth = source === undefined ? 0 : shapeOf(source)[1];
    const turned = values.filter((value, i) => {
      return value * own[index[Math.floor(i / width)] * sourceWidth + columns[i % width]] < 0;
    }).length;
    const quarters = turned / values.length;
    // Three quarters of the entries are new, half of those turned.
    expect(quarters).toBeGreaterThan(0.34);
    expect(quarters).toBeLessThan(0.41);
  });
});
