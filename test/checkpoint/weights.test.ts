import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type FloatDType, floatDTypes, roundTo, widthOf } from "../../src/checkpoint/dtype.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { openWeights } from "../../src/checkpoint/weights.ts";
import { parseSize, type TensorSource, writeWeights } from "../../src/checkpoint/write.ts";
import { UserError } from "../../src/util/errors.ts";
import { RandomStream } from "../../src/util/random.ts";
import { fixture, temporaryFolder } from "../support.ts";

interface Tensor {
  readonly name: string;
  readonly dtype: FloatDType;
  readonly shape: readonly number[];
}

/** The numbers a generated tensor holds. */
function numbersOf({ name, dtype, shape }: Tensor): Float32Array {
  const stream = new RandomStream(1, name);
  const count = shape.reduce((a, b) => a * b, 1);
  return roundTo(
    Float32Array.from({ length: count }, (_, i) => stream.normal(i)),
    dtype,
  );
}

/** A tensor to be written, handed over in slices of `slice` elements. */
function sourceOf(tensor: Tensor, slice: number): TensorSource {
  return {
    ...tensor,
    *data() {
      const all = numbersOf(tensor);
      for (let i = 0; i < all.length; i += slice) yield all.subarray(i, i + slice);
    },
  };
}

const tensors = fc.uniqueArray(
  fc.record({
    name: fc
      .oneof(fc.string({ unit: "grapheme" }), fc.stringMatching(/^[a-z]{1,8}(\.[0-9a-z]{1,6}){0,3}$/))
      .filter((name) => name !== "__metadata__"),
    dtype: fc.constantFrom(...floatDTypes),
    shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
  }),
  { maxLength: 12, selector: (tensor) => tensor.name },
);

describe("weights written and read again", () => {
  it("are the same, in any names, shapes, formats, slices and shards", async () => {
    const folder = temporaryFolder();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        tensors,
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 40 }),
        async (list, most, slice) => {
          const out = join(folder, String(run++));
          mkdirSync(out);
          const sources = list.map((tensor) => sourceOf(tensor, slice));
          const written = await writeWeights(out, sources, { maxShardBytes: most });
          expect(readdirSync(out).sort()).toEqual([...written.files].sort());
          const weights = await openWeights(out);
          expect([...weights.names()].sort()).toEqual(list.map((tensor) => tensor.name).sort());
          let bytes = 0;
          for (const tensor of list) {
            const info = weights.info(tensor.name);
            expect([info.dtype, info.shape]).toEqual([tensor.dtype, tensor.shape]);
            const expected = numbersOf(tensor);
            expect(await weights.readF32(tensor.name)).toEqual(expected);
            const start = Math.floor(expected.length / 3);
            expect(await weights.readF32(tensor.name, start, 1 <= expected.length - start ? 1 : 0)).toEqual(
              expected.slice(start, start + 1),
            );
            bytes += info.bytes;
          }
          expect(written.bytes).toBe(bytes);
          for (const path of weights.files) {
            const file = await openSafetensors(path);
            const sizes = [...file.tensors.values()].map((tensor) => tensor.bytes);
            expect(sizes.length <= 1 || sizes.reduce((a, b) => a + b, 0) <= most).toBe(true);
            expect([...file.metadata]).toEqual([["format", "pt"]]);
            await file.close();
          }
          await weights.close();
          rmSync(out, { recursive: true });
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])("%s: byte for byte what save_pretrained wrote", async (model) => {
    const folder = temporaryFolder();
    const weights = await openWeights(fixture(model));
    const sources = weights.names().map((name) => {
      const { shape } = weights.info(name);
      return { name, dtype: "F32" as const, shape, data: () => weights.readF32(name) };
    });
    await writeWeights(folder, sources.reverse());
    await weights.close();
    const ours = readFileSync(join(folder, "model.safetensors"));
    expect(ours.equals(readFileSync(fixture(model, "model.safetensors")))).toBe(true);
  });

  it("a source that gives too little or too much is a defect, and so is a name given twice", async () => {
    const source = (elements: number): TensorSource => ({
      name: "a",
      dtype: "F16",
      shape: [2, 2],
      data: () => Promise.resolve(new Float32Array(elements)),
    });
    await expect(writeWeights(temporaryFolder(), [source(3)])).rejects.toThrow(/another number of elements/);
    await expect(writeWeights(temporaryFolder(), [source(5)])).rejects.toThrow(/another number of elements/);
    await expect(writeWeights(temporaryFolder(), [source(4), source(4)])).rejects.toThrow(/twice/);
  });

  it("more than the disk holds is refused before it starts", async () => {
    const huge: TensorSource = { name: "a", dtype: "F32", shape: [2 ** 48], data: () => [] };
    await expect(writeWeights(temporaryFolder(), [huge])).rejects.toThrow(UserError);
  });
});

describe("sizes", () => {
  it.each([
    ["5GB", 5e9],
    ["200 mb", 2e8],
    ["1.5GiB", 1.5 * 2 ** 30],
    ["64K", 64000],
    ["123", 123],
    ["7B", 7],
  ])("%s", (text, bytes) => expect(parseSize(text, "--max-shard")).toBe(bytes));

  it.each(["", "GB", "-5GB", "0", "5 apples", "1e9", "99999999TB"])("%s is refused", (text) => {
    expect(() => parseSize(text, "--max-shard")).toThrow(UserError);
  });
});

describe("a folder of weights", () => {
  /** A sharded model of three tensors in three files. */
  async function sharded(): Promise<string> {
    const folder = temporaryFolder();
    const list = ["a", "b", "c"].map((name) => ({ name, dtype: "F32" as const, shape: [4] }));
    await writeWeights(
      folder,
      list.map((tensor) => sourceOf(tensor, 4)),
      { maxShardBytes: 16 },
    );
    return folder;
  }

  function editIndex(folder: string, edit: (map: Record<string, unknown>) => unknown): void {
    const path = join(folder, "model.safetensors.index.json");
    const index = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...index, weight_map: edit(index.weight_map) }));
  }

  it.each<[string, (folder: string) => void, RegExp]>([
    ["a shard missing", (f) => rmSync(join(f, "model-00002-of-00003.safetensors")), /model-00002.*is missing/],
    ["a tensor missing in the index", (f) => editIndex(f, ({ a, ...rest }) => ({ x: a, ...rest })), /does not list it/],
    ["a tensor missing in its shard", (f) => editIndex(f, (m) => ({ ...m, d: m.a })), /is not in shard/],
    ["a tensor in another shard", (f) => editIndex(f, (m) => ({ ...m, a: m.b, b: m.a })), /says it is in/],
    ["a shard listed for too much", (f) => editIndex(f, (m) => ({ ...m, a: m.b })), /not in shard/],
    [
      "a path out of the folder",
      (f) => editIndex(f, (m) => ({ ...m, a: "../evil.safetensors" })),
      /no safetensors file of/,
    ],
    ["an absolute path", (f) => editIndex(f, (m) => ({ ...m, a: "/evil.safetensors" })), /no safetensors file of/],
    ["a Windows path", (f) => editIndex(f, (m) => ({ ...m, a: "..\\evil.safetensors" })), /no safetensors file of/],
    ["a pickle as a shard", (f) => editIndex(f, (m) => ({ ...m, a: "evil.bin" })), /no safetensors file of/],
    ["a number as a shard", (f) => editIndex(f, (m) => ({ ...m, a: 3 })), /no safetensors file of/],
    ["an empty index", (f) => editIndex(f, () => ({})), /is empty/],
    ["an index without a map", (f) => editIndex(f, () => []), /no weight_map/],
    [
      "a broken index",
      (f) => writeFileSync(join(f, "model.safetensors.index.json"), '{"weight_map": {'),
      /not valid JSON/,
    ],
    [
      "a tensor listed twice",
      (f) => {
        const path = join(f, "model.safetensors.index.json");
        writeFileSync(path, readFileSync(path, "utf8").replace('"a":', '"a": "x.safetensors", "a":'));
      },
      /twice/,
    ],
    [
      "a tensor in two shards",
      (f) => copyFileSync(join(f, "model-00001-of-00003.safetensors"), join(f, "model-00002-of-00003.safetensors")),
      /says it is in/,
    ],
  ])("is refused: %s", async (_, damage, message) => {
    const folder = await sharded();
    await (await openWeights(folder)).close();
    damage(folder);
    await expect(openWeights(folder)).rejects.toThrow(UserError);
    await expect(openWeights(folder)).rejects.toThrow(message);
  });

  it("with pickles only is refused with the way out, and nothing of them is read", async () => {
    for (const name of ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "epoch=3.ckpt", "m.pth"]) {
      const folder = temporaryFolder();
      writeFileSync(join(folder, name), "cos\nsystem\n(S'false'\ntR.");
      await expect(openWeights(folder)).rejects.toThrow(/pickle.*\n.*save_pretrained/);
    }
  });

  it("without weights, or that is none, is refused with the way out", async () => {
    const folder = temporaryFolder();
    await expect(openWeights(folder)).rejects.toThrow(/there is no model.safetensors/);
    await expect(openWeights(join(folder, "no"))).rejects.toThrow(/no such folder/);
    writeFileSync(join(folder, "tf_model.h5"), "");
    await expect(openWeights(folder)).rejects.toThrow(/TensorFlow/);
    await expect(openWeights(join(folder, "tf_model.h5"))).rejects.toThrow(/it is a file/);
  });

  it("in a file of another name are refused with the way out", async () => {
    const folder = temporaryFolder();
    await writeWeights(folder, [sourceOf({ name: "a", dtype: "BF16", shape: [3] }, 2)]);
    renameSync(join(folder, "model.safetensors"), join(folder, "other.safetensors"));
    await expect(openWeights(folder)).rejects.toThrow(/rename other.safetensors/);
    renameSync(join(folder, "other.safetensors"), join(folder, "model.safetensors"));
    const weights = await openWeights(folder);
    expect(weights.info("a").bytes).toBe(3 * widthOf("BF16"));
    expect(() => weights.info("b")).toThrow(UserError);
    await weights.close();
  });
});
