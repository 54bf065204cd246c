/** Files as they are written: several writes under way, hashed by another thread, and what fails. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkFiles, hashFile, hashFiles } from "../../src/util/checksums.ts";
import { UserError } from "../../src/util/errors.ts";
import { writeFolderWhole } from "../../src/util/files.ts";
import { hashApart, LARGE } from "../../src/util/hashing.ts";
import { fillFile, type OutputFile } from "../../src/util/output.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";

/** Pieces small and large, shared and not, each filled with its own number. */
const pieces = [5, 70_000, 65_536, 1, 65_535, 300_000, 12, 200_000, 40_000, 40_000].map((length, i) =>
  (i % 2 === 0 ? new Uint8Array(length) : new Uint8Array(new SharedArrayBuffer(length))).fill(i + 1),
);
const whole = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));

describe("a file that is written", () => {
  it.each([
    ["on this thread", 0],
    ["by another thread", LARGE],
  ])("holds its bytes in order, hashed %s, whether each write is waited for or not", async (_, expected) => {
    const folder = temporaryFolder();
    const fill = (wait: boolean) => async (file: OutputFile) => {
      const writes: Promise<void>[] = [];
      for (const piece of pieces) {
        const own = piece.slice();
        const written = file.write(own);
        // The memory is the writer's until then, and after it anyone's.
        writes.push(written.then(() => void own.fill(0xff)));
        if (wait) await writes.at(-1);
      }
      expect(file.position).toBe(whole.length);
      await Promise.all(writes);
    };
    const out = join(folder, "out");
    await writeFolderWhole(
      out,
      async (temporary) => {
        await fillFile(join(temporary, "waited"), fill(true), expected);
        await fillFile(join(temporary, "under way"), fill(false), expected);
      },
      { checksums: true },
    );
    for (const name of ["waited", "under way"]) expect(readFileSync(join(out, name)).equals(whole), name).toBe(true);
    expect(await checkFiles(out)).toBe(true);
  });

  it("has nothing after a write that failed, says so at its end, and leaves no thread behind", () => {
    const [files, output] = ["files.js", "output.js"].map((name) =>
      JSON.stringify(join(packageRoot(), "dist", "util", name)),
    );
    // Each kind of change fails once, in a process that must come to its end by itself.
    const script = `import { writeFolderWhole } from ${files}; import { createFile } from ${output};
      import { open } from "node:fs/promises"; import { existsSync, writeFileSync } from "node:fs";
      const some = await open("some", "w");
      const prototype = Object.getPrototypeOf(some);
      await some.close();
      const piece = new Uint8Array(100_000);
      for (const kind of ["write", "sync"]) {
        const before = prototype[kind];
        let calls = 0;
        prototype[kind] = function (...rest) {
          if (++calls === (kind === "write" ? 2 : 1)) return Promise.reject(Object.assign(new Error("no"), { code: "EIO" }));
          return before.apply(this, rest);
        };
        await writeFolderWhole("out", async (folder) => {
          const file = await createFile(folder + "/a", ${LARGE});
          for (let i = 0; i < 4; i++) file.write(piece);
          await file.close();
        }, { checksums: true }).catch((error) => console.log(kind, error.what, calls, existsSync("out")));
        prototype[kind] = before;
      }`;
    const done = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      cwd: temporaryFolder(),
      encoding: "utf8",
      timeout: 60_000,
    });
    expect(done.stderr).toBe("");
    expect(done.signal).toBe(null);
    expect(done.stdout.split("\n").slice(0, 2)).toEqual([
      "write the disk reports an error 2 false",
      "sync the disk reports an error 1 false",
    ]);
  });
});

describe("a file that is read by another thread", () => {
  it("has the hash of its bytes; one that is not there is named in a sentence", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a");
    for (const length of [0, 1, 2 ** 20, 2 ** 20 + 1]) {
      const bytes = Buffer.alloc(length, 7);
      writeFileSync(path, bytes);
      const expected = createHash("sha256").update(bytes).digest("hex");
      expect(await hashApart(path)).toBe(expected);
      expect(await hashFile(path)).toBe(expected);
    }
    writeFileSync(path, Buffer.alloc(LARGE, 1));
    expect(await hashFiles([path])).toEqual({ a: await hashFile(path) });
    for (const end of [new AbortController(), new AbortController()]) {
      const hash = hashFiles([path], end.signal);
      setTimeout(() => end.abort(new Error("enough")), 1);
      await expect(hash).rejects.toThrow("enough");
    }
    await expect(hashApart(join(folder, "none"))).rejects.toThrow("ENOENT");
    await expect(hashFiles([join(folder, "none")])).rejects.toThrow(UserError);
  });
});
