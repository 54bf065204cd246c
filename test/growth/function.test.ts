import { describe, expect, it } from "vitest";
import type { GrowthChoices, TargetSizes } from "../../src/growth/plan.ts";
import { fixtures } from "../support.ts";
import { measure, source } from "./support.ts";

/** Sizes as multiples of the source's. */
async function multiple(name: string, width: number, ffn = width): Promise<TargetSizes> {
  const { hidden, ffn: inner } = (await source(name)).model.dimensions;
  return { hidden: width * hidden, ffn: Math.round(ffn * inner) };
}

describe.each(fixtures)("%s keeps its function", (name) => {
  const fpi: GrowthChoices = { method: "fpi", seed: 5 };

  it.each([
    [2, "cyclic"],
    [2, "shuffled"],
    [3, "cyclic"],
    [3, "shuffled"],
  ])("at %i times the width with %s maps: logits, hidden states, pooler and NSP", async (width, map) => {
    const result = await measure(name, await multiple(name, width), { ...fpi, map });
    expect(result.plan.promise.kind).toBe("exact");
    expect(result.kept).toBe(true);
    expect(result.largest).toBeLessThanOrEqual(1e-5);
    expect([...result.shares.keys()]).toEqual(expect.arrayContaining(["logits", "hidden.0", "hidden.1"]));
    if (name === "bert-tiny") expect(result.shares.has("nsp_logits") && result.shares.has("pooler")).toBe(true);
  });

  it.each(["cyclic", "shuffled", "random"])("with the FFN alone at an odd ratio, %s maps", async (map) => {
    const { ffn } = (await source(name)).model.dimensions;
    const result = await measure(name, { ffn: Math.round(1.37 * ffn) + 1 }, { ...fpi, map });
    expect(result.plan.promise.kind).toBe("exact");
    expect(result.largest).toBeLessThanOrEqual(1e-5);
  });

  it.each([1, 2, 5])("with %i zero layers more", async (more) => {
    const { layers } = (await source(name)).model.dimensions;
    const result = await measure(name, { layers: layers + more }, { ...fpi, depth: "zero" });
    expect(result.plan.promise.kind).not.toBe("none");
    expect(result.kept).toBe(true);
    expect(result.largest).toBeLessThanOrEqual(1e-5);
  });

  it("in width, FFN at another ratio and depth at once", async () => {
    const { layers } = (await source(name)).model.dimensions;
    const sizes = { ...(await multiple(name, 2, 2.5)), layers: 2 * layers };
    const result = await measure(name, sizes, { ...fpi, map: "shuffled", depth: "zero" });
    expect(result.kept).toBe(true);
    expect(result.largest).toBeLessThanOrEqual(1e-5);
  });

  it("stored in half the bytes, against the source stored alike", async () => {
    for (const dtype of ["F16", "BF16"] as const) {
      const two = await measure(name, await multiple(name, 2), fpi, { dtype });
      expect(two.largest).toBeLessThanOrEqual(1e-5);
      const three = await measure(name, await multiple(name, 3), fpi, { dtype });
      // Measured on this model; more than this no fixture's rounding costs.
      expect(three.allowed).toBeLessThan(dtype === "F16" ? 3e-3 : 2e-2);
      // What the heads compute is judged by it; hidden states on the way are not.
      expect(three.kept).toBe(true);
      expect(three.shares.get("logits")).toBeLessThanOrEqual(three.allowed ?? 0);
      expect(three.largest).toBeGreaterThan(1e-5);
    }
  });

  it("not at a ratio in between, nor with uneven maps, and says so", async () => {
    const { hidden, heads, kvHeads, headWidth } = (await source(name)).model.dimensions;
    for (const [sizes, map] of [
      [{ hidden: hidden + (heads / kvHeads) * headWidth }, "cyclic"],
      [await multiple(name, 2), "random"],
    ] as const) {
      const result = await measure(name, sizes, { ...fpi, map });
      expect(result.plan.promise.kind).toBe("none");
      expect(result.kept).toBe(true);
      expect(result.shares.get("logits")).toBeGreaterThan(1e-3);
      console.info(
        `${name} ${JSON.stringify(sizes)} ${map}: logits move by ${result.shares.get("logits")?.toFixed(3)}`,
      );
    }
  });

  it("by no other method than those that promise it", async () => {
    const sizes = await multiple(name, 2);
    const none: GrowthChoices[] = [
      { method: "aki" },
      { method: "aki", options: { scope: "units" } },
      { method: "aki", options: { scope: "units", readout: "upper" } },
      { method: "direct" },
    ];
    for (const choices of none) {
      const result = await measure(name, sizes, choices);
      expect(result.plan.promise.kind).toBe("none");
      expect(result.shares.get("logits")).toBeGreaterThan(1e-3);
    }
    const stacked = await measure(name, { layers: 5 }, fpi);
    expect(stacked.plan.promise.kind).toBe("none");
    expect(stacked.shares.get("logits")).toBeGreaterThan(1e-4);
  });
});
