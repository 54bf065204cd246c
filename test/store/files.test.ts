import { type ChildProcess, spawn } from "node:child_process";
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeFileWhole, writeFolderWhole } from "../../src/store/files.ts";
import { createFile } from "../../src/store/output.ts";
import { recover } from "../../src/store/temporary.ts";
import { UserError } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";

/** Fills a folder with one file. */
async function fillWith(folder: string, text: string): Promise<void> {
  const file = await createFile(join(folder, "a.txt"));
  await file.write(new TextEncoder().encode(text));
  await file.close();
}

/** A process that starts writing and never ends; resolves once its temporary name is there. */
async function writerThatHangs(folder: string, script: string): Promise<ChildProcess> {
  const [files, output] = ["files.js", "output.js"].map((name) =>
    JSON.stringify(join(packageRoot(), "dist", "store", name)),
  );
  const text = `import { writeFolderWhole } from ${files}; import { createFile } from ${output}; import { writeFileSync } from "node:fs";
    setInterval(() => {}, 1000); const hang = () => { process.stdout.write("ready"); return new Promise(() => {}); };
    ${script}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", text], { cwd: folder });
  let errors = "";
  child.stderr?.on("data", (data) => {
    errors += data;
  });
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("exit", () => reject(new Error(errors)));
  });
  return child;
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}

describe("a file written whole", () => {
  it("is written, replaced, and leaves nothing beside it", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "deep", "ä file.txt");
    await writeFileWhole(path, "one");
    await writeFileWhole(path, new Uint8Array([0x74, 0x77, 0x6f]));
    expect(readFileSync(path, "utf8")).toBe("two");
    expect(readdirSync(join(folder, "deep"))).toEqual(["ä file.txt"]);
  });

  it("goes where a symbolic link points", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "real"), "old");
    symlinkSync("real", join(folder, "link"));
    await writeFileWhole(join(folder, "link"), "new");
    expect(readFileSync(join(folder, "real"), "utf8")).toBe("new");
  });

  it("takes names near the file system's limit", async () => {
    const folder = temporaryFolder();
    await writeFileWhole(join(folder, "n".repeat(255)), "x");
    expect(readdirSync(folder)).toEqual(["n".repeat(255)]);
  });

  it("refuses a folder and a part of the path that is a file, leaving nothing", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "d"));
    writeFileSync(join(folder, "f"), "");
    await expect(writeFileWhole(join(folder, "d"), "x")).rejects.toThrow(UserError);
    await expect(writeFileWhole(join(folder, "f", "g"), "x")).rejects.toThrow(UserError);
    expect(readdirSync(folder).sort()).toEqual(["d", "f"]);
  });
});

describe("a folder written whole", () => {
  it("appears when it is filled, and hands on what fill returned", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "out");
    const result = await writeFolderWhole(path, async (temporary) => {
      await fillWith(temporary, "x");
      expect(readdirSync(folder)).not.toContain("out");
      return 7;
    });
    expect(result).toBe(7);
    expect(readdirSync(folder)).toEqual(["out"]);
    expect(readdirSync(path)).toEqual(["a.txt"]);
  });

  it("leaves nothing if fill throws", async () => {
    const folder = temporaryFolder();
    const failing = writeFolderWhole(join(folder, "out"), async (temporary) => {
      await fillWith(temporary, "x");
      throw new RangeError("no");
    });
    await expect(failing).rejects.toThrow(RangeError);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("takes an empty folder and refuses a full one, a file and a dangling link", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "empty"));
    await writeFolderWhole(join(folder, "empty"), (temporary) => fillWith(temporary, "x"));
    writeFileSync(join(folder, "file"), "");
    symlinkSync("nowhere", join(folder, "link"));
    let filled = 0;
    for (const name of ["empty", "file", "link"]) {
      const writing = writeFolderWhole(join(folder, name), async () => {
        filled++;
      });
      await expect(writing).rejects.toThrow(UserError);
    }
    expect(filled).toBe(0);
    expect(readFileSync(join(folder, "empty", "a.txt"), "utf8")).toBe("x");
    expect(readdirSync(folder).sort()).toEqual(["empty", "file", "link"]);
  });

  it("replaces a full folder when told to, and not what it holds when fill throws", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "out");
    await writeFolderWhole(path, (temporary) => fillWith(temporary, "old"));
    const failing = writeFolderWhole(path, () => Promise.reject(new RangeError("no")), { replace: true });
    await expect(failing).rejects.toThrow(RangeError);
    expect(readFileSync(join(path, "a.txt"), "utf8")).toBe("old");
    await writeFolderWhole(path, (temporary) => fillWith(temporary, "new"), { replace: true });
    expect(readFileSync(join(path, "a.txt"), "utf8")).toBe("new");
    expect(readdirSync(folder)).toEqual(["out"]);
  });
});

describe("what a killed process leaves", () => {
  const half = `await writeFolderWhole("out", async (t) => { writeFileSync(t + "/half", "x"); await hang(); });`;

  it("is never under the final name, stays while the process lives, and goes with the next writer", async () => {
    const folder = temporaryFolder();
    const child = await writerThatHangs(folder, half);
    expect(readdirSync(folder)).toHaveLength(1);
    expect(readdirSync(folder)[0]).toMatch(/^\.out\..*\.part$/);
    // Alive: another writer of the same name leaves it alone.
    await writeFolderWhole(join(folder, "out"), (temporary) => fillWith(temporary, "x"));
    expect(readdirSync(folder)).toHaveLength(2);
    await end(child);
    await writeFolderWhole(join(folder, "out"), (temporary) => fillWith(temporary, "y"), { replace: true });
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  it("is put back if it was an old folder moved aside", async () => {
    const folder = temporaryFolder();
    const child = await writerThatHangs(folder, half);
    await end(child);
    const left = join(folder, readdirSync(folder)[0]);
    await writeFolderWhole(join(folder, "out"), (temporary) => fillWith(temporary, "good"), { replace: true });
    // As if it had died between its two renames.
    const aside = left.replace(/\.part$/, ".old");
    await import("node:fs/promises").then((fs) => fs.rename(join(folder, "out"), aside));
    await recover(join(folder, "out"));
    expect(readFileSync(join(folder, "out", "a.txt"), "utf8")).toBe("good");
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  it("counts as dead on another host only when a day old; other files beside are never touched", async () => {
    const folder = temporaryFolder();
    const fresh = ".out.0123abcd-1-0123abcd-0.part";
    const old = ".out.0123abcd-2-0123abcd-0.part";
    const others = [".out.part", ".outer.0123abcd-2-0123abcd-0.part", "out.0123abcd-2-0123abcd-0.part"];
    for (const name of [fresh, old, ...others]) writeFileSync(join(folder, name), "");
    const long = new Date(statSync(folder).mtimeMs - 25 * 3600 * 1000);
    for (const name of [old, ...others]) utimesSync(join(folder, name), long, long);
    await writeFileWhole(join(folder, "out"), "x");
    expect(readdirSync(folder).sort()).toEqual([fresh, "out", ...others].sort());
  });

  it("does not count as ours when a process number is used again", async () => {
    const folder = temporaryFolder();
    const child = await writerThatHangs(folder, half);
    const [name] = readdirSync(folder);
    await end(child);
    // The same number, held by a living process (this one) of another life.
    const again = name.replace(/-\d+-/, `-${process.pid}-`);
    rmSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, again), "");
    await writeFileWhole(join(folder, "out"), "x");
    expect(readdirSync(folder)).toEqual(["out"]);
  });
});
