import { execFileSync } from "node:child_process";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSafetensors, parseHeader } from "../../src/checkpoint/safetensors.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { UserError } from "../../src/util/errors.ts";
import { fixture, temporaryFolder } from "../support.ts";
import { bad, fileOf, good } from "./headers.ts";

describe("a safetensors file", () => {
  it.each(good)("is opened: %s", async (_, bytes) => {
    const path = join(temporaryFolder(), "x.safetensors");
    writeFileSync(path, bytes);
    const file = await openSafetensors(path);
    for (const [name, tensor] of file.tensors) {
      const raw = await file.read(name);
      expect(raw).toEqual(bytes.slice(tensor.offset, tensor.offset + tensor.bytes));
    }
    await file.close();
  });

  it.each(bad)("is refused: %s", async (_, bytes, message) => {
    const path = join(temporaryFolder(), "x.safetensors");
    writeFileSync(path, bytes);
    const opening = openSafetensors(path);
    await expect(opening).rejects.toThrow(UserError);
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toThrow(path);
  });

  it("is refused at every length it may be cut to, and with a byte more", async () => {
    const folder = temporaryFolder();
    const data = () => Promise.resolve(new Float32Array(6));
    await writeWeights(folder, [
      { name: "a", dtype: "F32", shape: [2, 3], data },
      { name: "b", dtype: "F16", shape: [6], data },
    ]);
    const path = join(folder, "model.safetensors");
    const file = await openSafetensors(path);
    const { offset, bytes } = file.info("b");
    await file.close();
    truncateSync(path, offset + bytes + 1);
    await expect(openSafetensors(path)).rejects.toThrow(UserError);
    for (let length = offset + bytes - 1; length >= 0; length--) {
      truncateSync(path, length);
      await expect(openSafetensors(path), `${length} bytes`).rejects.toThrow(UserError);
    }
  });

  it("never makes a message that a terminal would obey", () => {
    const header = new TextEncoder().encode(`{"\\u001b[2J${"x".repeat(1000)}":{"dtype":"\\n"}}`);
    expect(() => parseHeader(header, 8 + header.length, "f")).toThrow(UserError);
    try {
      parseHeader(header, 8 + header.length, "f");
    } catch (error) {
      const text = error instanceof Error ? error.message : "";
      expect(text).not.toContain("\u001b");
      expect(text.length).toBeLessThan(500);
    }
  });

  it("gives parts of a tensor, and says so when asked for more than there is", async () => {
    const path = join(temporaryFolder(), "x.safetensors");
    writeFileSync(
      path,
      fileOf(
        '{"a":{"dtype":"I16","shape":[4],"data_offsets":[0,8]},"c":{"dtype":"C64","shape":[1],"data_offsets":[8,16]}}',
        16,
      ),
    );
    const file = await openSafetensors(path);
    expect((await file.readF32("a")).length).toBe(4);
    expect(await file.readF32("a", 1, 2)).toEqual((await file.readF32("a")).slice(1, 3));
    expect(await file.readF32("a", 4)).toEqual(new Float32Array(0));
    await expect(file.read("a", 3, 2)).rejects.toThrow(RangeError);
    await expect(file.readF32("c")).rejects.toThrow(/stored as C64/);
    await expect(file.readF32("none")).rejects.toThrow(/no tensor none/);
    await file.close();
  });

  it("that shrinks while it is read is said to", async () => {
    const path = join(temporaryFolder(), "x.safetensors");
    writeFileSync(path, fileOf('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8));
    const file = await openSafetensors(path);
    truncateSync(path, 10);
    await expect(file.read("a")).rejects.toThrow(/became shorter/);
    await file.close();
  });

  it("that is a folder, a pipe, or missing is refused at once", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "d"));
    execFileSync("mkfifo", [join(folder, "p")]);
    for (const name of ["d", "p", "none"]) await expect(openSafetensors(join(folder, name))).rejects.toThrow(UserError);
  });

  it("keeps its metadata", async () => {
    const file = await openSafetensors(fixture("bert-tiny", "model.safetensors"));
    expect([...file.metadata]).toEqual([["format", "pt"]]);
    expect(file.info("bert.pooler.dense.weight").shape).toEqual([64, 64]);
    await file.close();
  });
});
