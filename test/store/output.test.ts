/** Files as they are written: several writes under way, hashed by another thread, and what fails. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkFiles, hashFile, hashFiles } from "../../src/store/checksums.ts";
import { writeFolderWhole } from "../../src/store/files.ts";
import { hashApart, LARGE } from "../../src/store/hashing.ts";
import { fillFile, type OutputFile } from "../../src/store/output.ts";
import { UserError } from "../../src/util/errors.ts";
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
      JSON.stringify(join(packageRoot(), "dist", "store", name)),
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

describe("a file whose bytes lie as they will in it", () => {
  /** Runs a script in a process of its own, in which node's `open` and the handles' `write` may be put in. */
  const inProcess = (script: string) => {
    const imports = ["files", "output", "direct", "checksums"].map((name) =>
      JSON.stringify(join(packageRoot(), "dist", "store", `${name}.js`)),
    );
    const before = `import promises from "node:fs/promises"; import fs from "node:fs";
      import { syncBuiltinESMExports } from "node:module";
      const { writeFolderWhole } = await import(${imports[0]}); const { fillFile } = await import(${imports[1]});
      const { PageMemory } = await import(${imports[2]}); const { checkFiles } = await import(${imports[3]});
      const memory = [0, 1, 2].map(() => new PageMemory(3_000_000));
      const expected = [];
      /** Pieces of all lengths, each at its place; the memory is used again as soon as it may be. */
      async function fill(file) {
        const busy = [];
        let turn = 0;
        for (const length of [3, 200_001, 65_536 / 4, 1, 40_000, 700_000, 16_384, 1024, 5, 700_001, 2, 300_000]) {
          await busy[turn % 3];
          const piece = memory[turn % 3].numbers(length, file.position).map((_, i) => turn + i);
          const numbers = memory[turn % 3].numbers(length, file.position);
          numbers.set(piece);
          expected.push(Buffer.from(piece.buffer));
          busy[turn % 3] = file.write(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
          busy[turn % 3].then(() => numbers.fill(-1), () => {});
          turn++;
          if (turn === 7) await file.write(Buffer.alloc(100_000, 7)), expected.push(Buffer.alloc(100_000, 7));
        }
      }
      const write = (bytes = 8_000_000) =>
        writeFolderWhole("out", (folder) => fillFile(folder + "/a", fill, bytes), { checksums: true });
      const same = async () => Buffer.concat(expected).equals(fs.readFileSync("out/a")) && (await checkFiles("out"));\n`;
    const done = spawnSync(process.execPath, ["--input-type=module", "-e", before + script], {
      cwd: temporaryFolder(),
      encoding: "utf8",
      timeout: 60_000,
    });
    expect(done.stderr).toBe("");
    expect(done.signal).toBe(null);
    return done.stdout.trim().split("\n");
  };
  /** Counts who opens a file directly, and does this instead. */
  const opening = (instead: string) => `const { open } = promises; let direct = 0;
    promises.open = async (path, flags, ...rest) => {
      if (typeof flags !== "number" || (flags & (fs.constants.O_DIRECT ?? 0)) === 0) return open(path, flags, ...rest);
      direct++;
      ${instead}
    };
    syncBuiltinESMExports();\n`;

  it("holds the same bytes, its whole blocks written directly, once", () => {
    const script = `${opening("return open(path, flags, ...rest);")} await write(); console.log(direct, await same());`;
    expect(inProcess(script)).toEqual([process.platform === "linux" ? "1 true" : "0 true"]);
  });

  it.runIf(process.platform === "linux")("is written as usual where the system refuses to open it so", () => {
    const refuse = `throw Object.assign(new Error("no"), { code: "EINVAL" });`;
    expect(inProcess(`${opening(refuse)} await write(); console.log(direct, await same());`)).toEqual(["1 true"]);
  });

  it.runIf(process.platform === "linux")("is written as usual where the system refuses to write it so", () => {
    const refuse = `const handle = await open(path, flags, ...rest);
      handle.write = async () => { throw Object.assign(new Error("no"), { code: "EINVAL" }); };
      return handle;`;
    expect(inProcess(`${opening(refuse)} await write(); console.log(direct, await same());`)).toEqual(["1 true"]);
  });

  it.runIf(process.platform === "linux")(
    "does not appear when it can't be opened or written for another reason",
    () => {
      for (const instead of [
        `throw Object.assign(new Error("no"), { code: "EIO" });`,
        `const handle = await open(path, flags, ...rest);
       handle.write = async () => { throw Object.assign(new Error("no"), { code: "EIO" }); };
       return handle;`,
      ]) {
        // Hashed by this thread and by another.
        for (const bytes of [8_000_000, LARGE]) {
          const script = `${opening(instead)}
        await write(${bytes}).catch((error) => console.log(error.what, fs.existsSync("out"), fs.readdirSync(".").length));`;
          expect(inProcess(script)).toEqual(["the disk reports an error false 0"]);
        }
      }
    },
  );
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
    const large = Buffer.alloc(LARGE, 1);
    writeFileSync(path, large);
    expect(await hashFiles([path])).toEqual({ a: createHash("sha256").update(large).digest("hex") });
    for (const end of [new AbortController(), new AbortController()]) {
      const hash = hashFiles([path], end.signal);
      setTimeout(() => end.abort(new Error("enough")), 1);
      await expect(hash).rejects.toThrow("enough");
    }
    await expect(hashApart(join(folder, "none"))).rejects.toThrow("ENOENT");
    await expect(hashFiles([join(folder, "none")])).rejects.toThrow(UserError);
  });
});
