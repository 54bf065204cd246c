/** More ids and positions against transformers: shapes as `resize_token_embeddings` makes them, old ids' logits in float64. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeSafetensors } from "../../src/checkpoint/write.ts";
import { applyGrowth } from "../../src/growth/apply.ts";
import { planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { openModel } from "../../src/model/load.ts";
import { probe } from "../../src/probe/probe.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { reference } from "../growth/support.ts";
import { fixture, fixtures, python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "safetensors"]);

interface Found {
  readonly name: string;
  readonly odd: number;
  readonly old: number;
  readonly shapes: boolean;
  readonly long: Readonly<Record<string, number>>;
}

describe.skipIf(peer === undefined)("vocabulary and context", () => {
  it("are transformers': shapes, what old ids compute, and texts longer than before", async () => {
    const root = temporaryFolder();
    for (const name of fixtures) {
      const source = await openModel(fixture(name));
      const { vocab, positions, hidden } = source.model.dimensions;
      const more = { vocab: vocab + 6, positions: 2 * positions };
      const rotary = source.model.network.attends(undefined).rope !== undefined && name !== "modernbert-tiny";
      const kinds: [string, TargetSizes][] = [
        ["vocab", { vocab: more.vocab }],
        ["both", { ...more, hidden: 2 * hidden }],
        ...(rotary
          ? (["base", "interpolate"] as const).map((by): [string, TargetSizes] => [by, { ...more, positionsBy: by }])
          : []),
      ];
      mkdirSync(join(root, name));
      cpSync(fixture(name), join(root, name, "source"), { recursive: true });
      writeFileSync(join(root, name, "positions.json"), String(positions));
      for (const [kind, sizes] of kinds) {
        const out = join(root, name, kind);
        const { positionsBy = "extend" } = sizes;
        const extension = { pieces: new Map([[vocab + 1, [4, 9]]]), positions: positionsBy };
        const plan = planGrowth(source.model, resizedModel(source.model, sizes), { method: "fpi", extension });
        await applyGrowth(plan, source, out);
        if (kind === "vocab") continue;
        const grown = await openModel(out);
        const length = more.positions;
        // No id is padding's, which transformers would not see without a mask.
        const ids = Int32Array.from({ length }, (_, i) => 5 + ((i * 7) % (more.vocab - 5)));
        const engine = await reference();
        const found = await probe(grown.model, grown.weights, { batch: 1, length, ids }, engine, { gradients: false });
        await Promise.all([engine.close(), grown.close()]);
        const logits = found.get("logits");
        await writeSafetensors(join(out, "long.safetensors"), [
          { name: "input_ids", dtype: "F32", shape: [1, length], data: async () => Float32Array.from(ids) },
          {
            name: "logits",
            dtype: "F32",
            shape: logits?.shape ?? [],
            data: async () => logits?.data ?? new Float32Array(),
          },
        ]);
      }
      await source.close();
    }
    const script = readFileSync(join(packageRoot(), "test", "peers", "extend.py"), "utf8");
    const lines = peer?.run(script, [root]).trim().split("\n") ?? [];
    expect(lines.length).toBe(fixtures.length);
    for (const line of lines) {
      const { name, odd, old, shapes, long }: Found = JSON.parse(line);
      expect([name, odd, shapes]).toEqual([name, 0, true]);
      expect(old, name).toBeLessThanOrEqual(1e-6);
      expect(Object.keys(long).length).toBeGreaterThan(0);
      for (const [kind, off] of Object.entries(long)) expect(off, `${name} ${kind}`).toBeLessThanOrEqual(2e-5);
    }
  });
});
