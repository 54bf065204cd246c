/** The operators beyond the paper: what each promises, and that copies no longer stay alike. */
import { describe, expect, it } from "vitest";
import { spread } from "../../src/growth/depth/repeated.ts";
import type { GrowthChoices, TargetSizes } from "../../src/growth/plan.ts";
import { evaluate } from "../../src/growth/recipe.ts";
import { newUnits } from "../../src/growth/width.ts";
import { initialise } from "../../src/model/init.ts";
import { type Axis, runsAlong, shapeOf } from "../../src/model/table.ts";
import { grown, measure, planOf, same, source } from "./support.ts";

const keeps: readonly [string, GrowthChoices][] = [
  ["fpi with unequal shares", { method: "fpi", options: { shares: "unequal" } }],
  ["fpi with noise that cancels", { method: "fpi", options: { shares: "noisy" } }],
  ["fresh", { method: "fresh" }],
  ["fresh with unequal shares", { method: "fresh", options: { shares: "unequal" } }],
  ["fresh with noise", { method: "fresh", options: { shares: "noisy", noise: 0 } }],
  ["hyperclone", { method: "hyperclone" }],
  ["hyperclone with loud noise", { method: "hyperclone", options: { noise: 0 } }],
  ["lemon", { method: "lemon" }],
  ["lemon with unequal shares", { method: "lemon", options: { shares: "unequal" } }],
  ["lemon, fresh inside", { method: "lemon", options: { inner: "fresh", shares: "noisy" } }],
];

describe.each(["bert-tiny", "gpt2-tiny"])("%s", (name) => {
  it.each(keeps)(
    "%s keeps its function at 2 and 3 times the width, the FFN at any, with depth beside it",
    async (_, choices) => {
      const { hidden, ffn, layers } = (await source(name)).model.dimensions;
      const cases: [TargetSizes, Partial<GrowthChoices>][] = [
        name === "gpt2-tiny"
          ? [{ hidden: 3 * hidden, ffn: 3 * ffn + 11 }, {}]
          : [
              { hidden: 2 * hidden, layers: layers + 1 },
              { map: "shuffled", depth: "zero" },
            ],
        [{ ffn: ffn + 77 }, { map: "random" }],
      ];
      for (const [sizes, more] of cases) {
        const result = await measure(name, sizes, { ...choices, ...more, seed: 4 });
        expect(result.plan.promise.kind).not.toBe("none");
        expect(result.allowed).toBeLessThanOrEqual(1e-3);
        expect(result.kept).toBe(true);
        expect(result.largest, JSON.stringify(sizes)).toBeLessThanOrEqual(1e-5);
      }
    },
  );

  it("in half the bytes unequal weights are rounded anew, and the bar says so", async () => {
    const { hidden } = (await source(name)).model.dimensions;
    const choices = { method: "fpi", options: { shares: "unequal" } };
    const result = await measure(name, { hidden: 2 * hidden }, choices, { dtype: "BF16" });
    expect(result.allowed).toBeGreaterThan(1e-5);
    expect(result.kept).toBe(true);
    expect(result.largest).toBeGreaterThan(1e-5);
  });

  it("copies stay alike with equal shares alone", async () => {
    const { model, weights } = await source(name);
    const { hidden } = model.dimensions;
    const alike = async (choices: GrowthChoices, axis: Axis) => {
      const plan = await planOf(name, { hidden: 2 * hidden }, choices);
      const found = plan.growth.target.parameters.find(
        (p) => p.layer === 0 && p.dims.some((dim) => runsAlong(dim, axis) && dim.role === "in"),
      );
      if (found === undefined) throw new Error(`nothing reads ${axis}`);
      const values = await grown(plan, { weights }).weights.readF32(found.name);
      const [rows, columns] = shapeOf(found);
      const first = found.dims[0].role === "in";
      const size = first ? rows / 2 : columns / 2;
      const at = (unit: number) => (first ? unit * columns : unit);
      return Array.from({ length: size }, (_, unit) => values[at(unit)] === values[at(unit + size)]).every(Boolean);
    };
    for (const axis of ["hidden", "ffn"] as const) {
      expect(await alike({ method: "fpi" }, axis)).toBe(true);
      expect(await alike({ method: "fpi", options: { shares: "unequal" } }, axis)).toBe(false);
      expect(await alike({ method: "hyperclone" }, axis)).toBe(false);
    }
    expect(await alike({ method: "fresh" }, "ffn")).toBe(false);
  });

  it("quiet DirectCopy: old units read no new one; the FFN alone keeps the function, the stream does not", async () => {
    const { model } = await source(name);
    const { ffn, heads } = model.dimensions;
    const inside = await measure(name, { ffn: ffn + 50 }, { method: "quiet" });
    expect(inside.plan.promise.kind).toBe("exact");
    expect(inside.largest).toBeLessThanOrEqual(1e-5);
    const plan = await planOf(name, { heads: heads + 1 }, { method: "quiet", seed: 3 });
    expect(plan.promise.kind).toBe("none");
    const { weights } = await source(name);
    for (const parameter of plan.growth.target.parameters.filter((p) => p.dims.length === 2)) {
      const made = await grown(plan, { weights }).weights.readF32(parameter.name);
      const old = await weights.readF32(parameter.name);
      const narrow = plan.growth.source.parameters.find((p) => p.name === parameter.name) ?? parameter;
      const [rows, columns] = [0, 1].map((d) => {
        const { size, factors } = parameter.dims[d];
        const blocks = factors[0].axis === "fused" ? factors[0].size : 1;
        const before = narrow.dims[d].size / blocks;
        return Array.from({ length: size }, (_, i) => {
          const unit = i % (size / blocks);
          return unit < before ? Math.floor(i / (size / blocks)) * before + unit : undefined;
        });
      });
      const [inDim] = [0, 1].filter((d) => parameter.dims[d].role === "in");
      let [random, wrong] = [0, 0];
      rows.forEach((row, i) => {
        columns.forEach((column, j) => {
          const value = made[i * columns.length + j];
          if (row !== undefined && column !== undefined) {
            if (value !== old[row * narrow.dims[1].size + column]) wrong++;
          } else if (inDim !== undefined && (inDim === 0 ? column : row) !== undefined) {
            if (value !== 0) wrong++;
          } else if (value !== 0) random++;
        });
      });
      expect(wrong, parameter.name).toBe(0);
      const free = parameter.dims.some((dim, d) => dim.role === "out" && dim.size > narrow.dims[d].size);
      expect(random > 0, parameter.name).toBe(free);
    }
  });
});

describe.each(["bert-tiny", "gpt2-tiny"])("shrink and perturb, random layers: %s", (name) => {
  it("DirectCopy with --shrink: F of every old weight beside the draw that the whole tensor is", async () => {
    const { model, weights } = await source(name);
    const { hidden, ffn } = model.dimensions;
    const sizes = { hidden: hidden * 1.5, ffn: ffn + 5 };
    const plan = await planOf(name, sizes, { method: "direct", options: { shrink: 0.4 }, seed: 3 });
    expect(plan.promise).toMatchObject({ kind: "none", reason: expect.stringContaining("shrunk") });
    expect(plan.parameters.every(({ moments }) => moments === undefined)).toBe(true);
    const whole = await planOf(name, sizes, { method: "direct", seed: 3 });
    expect(whole.growth.options).toEqual({ shrink: 1 });
    for (const parameter of plan.growth.target.parameters) {
      const [made, copied] = await Promise.all(
        [plan, whole].map((one) => grown(one, { weights }).weights.readF32(parameter.name)),
      );
      const drawn = initialise(parameter, 3);
      const mean = parameter.init.kind === "constant" ? parameter.init.value : 0;
      const marks = parameter.dims.map((dim) => newUnits(plan.growth, dim));
      const { size } = parameter.dims[parameter.dims.length - 1];
      const off = made.reduce((most, value, i) => {
        const index = marks.length === 1 ? [i] : [Math.floor(i / size), i % size];
        const isNew = marks.some((marked, d) => marked[index[d]] === 1);
        const wanted = isNew ? drawn[i] : 0.4 * copied[i] + drawn[i] - 0.4 * mean;
        return Math.max(most, Math.abs(value - wanted));
      }, 0);
      expect(off, parameter.name).toBeLessThan(1e-6);
    }
    const kept = await measure(name, { ffn: ffn + 5 }, { method: "direct", options: { shrink: 0 } });
    expect(kept.shares.get("logits")).toBeGreaterThan(1e-2);
  });

  it("new layers are what init draws, old ones their own, and moments of new ones start at 0", async () => {
    const { model, weights } = await source(name);
    const { layers } = model.dimensions;
    const plan = await planOf(name, { layers: layers + 3 }, { method: "fpi", depth: "random", seed: 5 });
    expect(plan.promise.kind).toBe("none");
    expect(plan.layers.filter(({ fresh }) => fresh)).toHaveLength(3);
    for (const { parameter, moments } of plan.parameters) {
      const made = await grown(plan, { weights }).weights.readF32(parameter.name);
      const origin = parameter.layer === null ? undefined : plan.layers[parameter.layer];
      const old = model.parameters.find((p) => p.kind === parameter.kind && p.layer === (origin?.from ?? null));
      const wanted = origin?.fresh ? initialise(parameter, 5) : await weights.readF32(old?.name ?? "");
      expect(same(made, wanted), parameter.name).toBe(true);
      expect(moments === undefined, parameter.name).toBe(origin?.fresh === true);
    }
    const result = await measure(name, { layers: layers + 3 }, { method: "fpi", depth: "random" });
    expect(result.shares.get("logits")).toBeGreaterThan(1e-3);
  });
});

describe("hyperclone", () => {
  it("puts the weights 10 dB above noise that is another for every row", async () => {
    for (const name of ["bert-tiny", "gpt2-tiny"]) {
      const { model, weights } = await source(name);
      const { hidden } = model.dimensions;
      const plain = await planOf(name, { hidden: 2 * hidden }, { method: "fpi" });
      const noisy = await planOf(name, { hidden: 2 * hidden }, { method: "hyperclone" });
      const matrix = plain.growth.target.parameters.find(
        (p) => p.layer === 0 && p.part === "branch-input" && p.dims.length === 2,
      );
      if (matrix === undefined) throw new Error("no matrix");
      const [a, b] = await Promise.all(
        [plain, noisy].map((plan) => grown(plan, { weights }).weights.readF32(matrix.name)),
      );
      const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
      const noise = b.map((value, i) => value - a[i]);
      expect(10 * Math.log10(power(a) / power(noise))).toBeCloseTo(10, 0);
      // Two clones of one unit that makes something have noise of their own.
      expect(new Set(noise).size).toBeGreaterThan(noise.length / 2 - 10);
    }
  });

  it("makes the same numbers slice by slice as at once", async () => {
    const { model, weights } = await source("gpt2-tiny");
    const plan = await planOf("gpt2-tiny", { hidden: 3 * model.dimensions.hidden }, { method: "hyperclone", seed: 2 });
    const read = (tensor: string, start: number, count: number) => weights.readF32(tensor, start, count);
    for (const { weight, shape } of plan.parameters.filter(({ shape }) => shape.length === 2).slice(2, 5)) {
      const whole = await evaluate(weight, { read });
      for (let row = 0; row + 5 <= shape[0]; row += 41) {
        const slice = new Float32Array(5 * shape[1]);
        await weight.fill(slice, row, { read });
        expect(slice).toEqual(whole.subarray(row * shape[1], (row + 5) * shape[1]));
      }
    }
  });
});

describe("lemon", () => {
  const widths: [number, GrowthChoices][] = [
    [1.25, { method: "lemon" }],
    [1.5, { method: "lemon" }],
    [2.5, { method: "lemon", map: "shuffled" }],
    [1.5, { method: "lemon", options: { shares: "unequal" } }],
    [1.75, { method: "lemon", options: { shares: "noisy", inner: "fresh" } }],
    [2.5, { method: "lemon", options: { shares: "unequal", inner: "fresh" }, map: "shuffled" }],
  ];
  it.each(widths)("keeps every logit of gpt2-tiny at %f times the width: %o", async (ratio, choices) => {
    const { hidden, layers } = (await source("gpt2-tiny")).model.dimensions;
    const sizes = { hidden: ratio * hidden, ...(choices.map === undefined ? {} : { layers: layers + 2 }) };
    const result = await measure("gpt2-tiny", sizes, { ...choices, depth: "zero", seed: 6 });
    expect(result.plan.promise.kind).toBe("exact");
    expect(result.plan.growth.target.dimensions.hidden).toBe(ratio * hidden);
    expect(result.kept).toBe(true);
    expect(result.largest).toBeLessThanOrEqual(1e-5);
  });

  it("says the eps it needs in the config, and grows on from there", async () => {
    const { model } = await source("gpt2-tiny");
    const plan = await planOf("gpt2-tiny", { hidden: 96 }, { method: "lemon" });
    expect(plan.growth.target.settings.eps).toBeCloseTo((model.settings.eps * 64) / 96, 12);
    expect(plan.growth.target.config.layer_norm_epsilon).toBe(plan.growth.target.settings.eps);
  });

  it("on norms that stand on the stream is fpi, and takes no uneven map elsewhere", async () => {
    const { heads } = (await source("bert-tiny")).model.dimensions;
    const plan = await planOf("bert-tiny", { heads: heads + 1 }, { method: "lemon" });
    expect(plan.promise).toMatchObject({ kind: "none", reason: expect.stringContaining("copied as by fpi") });
    expect(plan.growth.target.settings.eps).toBe(plan.growth.source.settings.eps);
    await expect(planOf("gpt2-tiny", { hidden: 128 }, { method: "lemon", map: "random" })).rejects.toThrow(
      "copies every unit equally often",
    );
  });
});

describe("tile", () => {
  it("is the source in the middle of every dimension, going round on both sides, but for the order of units", async () => {
    const { model, weights } = await source("gpt2-tiny");
    const { headWidth } = model.dimensions;
    const plan = await planOf("gpt2-tiny", { hidden: 112, ffn: 401 }, { method: "tile" });
    // ModernBERT's rule, in its own order; then to ours: centre, right, left.
    const place = (n: number, N: number) => {
      const offset = Math.floor((N - n) / 2);
      const own = Array.from({ length: N }, (_, i) => (((i - offset) % n) + n) % n);
      return [...own.slice(offset), ...own.slice(0, offset)];
    };
    const heads = place(4, 7).flatMap((head) => Array.from({ length: headWidth }, (_, i) => head * headWidth + i));
    const of: Record<string, number[]> = { hidden: place(64, 112), kv: heads, ffn: place(256, 401) };
    for (const parameter of plan.growth.target.parameters) {
      const made = await grown(plan, { weights }).weights.readF32(parameter.name);
      const old = await weights.readF32(parameter.name);
      const along = parameter.dims.map((dim) => {
        const { axis } = dim.factors.find((factor) => factor.axis in of) ?? dim.factors[0];
        const blocks = dim.factors[0].axis === "fused" ? dim.factors[0].size : 1;
        return { axis, size: dim.size, blocks };
      });
      const index = along.map(({ axis, size, blocks }) =>
        Array.from({ length: size }, (_, i) => {
          const units = size / blocks;
          const map = of[axis];
          if (map === undefined) return i;
          const from = axis === "ffn" ? 256 : 64;
          return Math.floor(i / units) * from + map[i % units];
        }),
      );
      const widthOf = along.map(({ axis, size, blocks }) => (axis === "ffn" ? 256 : axis in of ? 64 * blocks : size));
      const wanted =
        index.length === 1
          ? index[0].map((i) => old[i])
          : index[0].flatMap((i) => index[1].map((j) => old[i * widthOf[1] + j]));
      expect(Array.from(made), parameter.name).toEqual(wanted);
    }
    expect(plan.promise.kind).toBe("none");
  });

  it("with layers spread by their relative height", () => {
    const from = (source: number, target: number) => spread.layers(source, target).map((layer) => layer.from);
    // Python: [min(round(i * 4 / 6), 3) for i in range(6)], and so on.
    expect(from(4, 6)).toEqual([0, 1, 1, 2, 3, 3]);
    expect(from(2, 8)).toEqual([0, 0, 0, 1, 1, 1, 1, 1]);
    expect(from(22, 28)).toEqual([
      0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8, 9, 9, 10, 11, 12, 13, 13, 14, 15, 16, 16, 17, 18, 19, 20, 20, 21,
    ]);
    const layers = spread.layers(5, 13);
    expect(layers.filter(({ fresh }) => !fresh).map((layer) => layer.from)).toEqual([0, 1, 2, 3, 4]);
  });
});
