/**
 * A file layer that fails, for tests: `node --import` reads it before the command line, and what node offers to change
 * files then counts, and at the n-th time fails or kills the process. No line of the package knows of it.
 *
 * BERT2BERT_FAULT: `count PATH` writes every change that is made into a file; `ENOSPC N`, `EIO N` and `SIGKILL N` are
 * what happens at the N-th (from 0). A full disk stays full; an error of the disk comes once. A write that fails or dies
 * has done half of itself, the removal of a folder one file of it.
 */
import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";

const [how, argument] = (process.env.BERT2BERT_FAULT ?? "").split(" ");
const log = how === "count" && isMainThread ? fs.openSync(argument, "a") : -1;
let done = 0;
/** Whether one of node's functions is at work: what it calls of the others is not counted again. */
let inside = false;
/** Paths of open files, for the log. */
const names = new WeakMap();

/** @param half does half of the change @returns the error to throw, if any */
function fault(kind, path, half = () => {}) {
  const number = done++;
  if (how === "count") {
    fs.writeSync(log, `${kind} ${path}\n`);
    return undefined;
  }
  const at = Number(argument);
  const frees = kind === "rm";
  const fills = !["rename", "sync", "rm"].includes(kind);
  const now = number === at && !(how === "ENOSPC" && frees);
  if (!now && !(how === "ENOSPC" && number > at && fills)) return undefined;
  half();
  if (how === "SIGKILL") {
    process.kill(process.pid, "SIGKILL");
    // The signal ends all threads; nothing is done meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
  const words = { ENOSPC: "no space left on device", EIO: "i/o error" }[how];
  return Object.assign(new Error(`${how}: ${words}, ${kind} '${path}'`), {
    code: how,
    syscall: kind,
    path: String(path),
  });
}

/** Wraps a function of a module. @param half does half of what it is to do */
function wrap(holder, name, kind, half = () => {}) {
  const before = holder[name];
  const later = holder === promises;
  holder[name] = function (...args) {
    if (inside) return before.apply(this, args);
    inside = true;
    try {
      const error = fault(kind, args[0], () => half(...args));
      if (error === undefined) return before.apply(this, args);
      if (later) return Promise.reject(error);
      throw error;
    } finally {
      inside = false;
    }
  };
}

function removeOne(path) {
  try {
    const [first] = fs.readdirSync(path).sort();
    if (first !== undefined) fs.rmSync(join(path, first), { recursive: true });
  } catch {
    // A file, or nothing: it stays.
  }
}

const writes = (flags) =>
  typeof flags === "string"
    ? /[wax+]/.test(flags)
    : ((flags ?? 0) & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0;

if (isMainThread && how !== "") {
  const handle = await promises.open(new URL(import.meta.url), "r");
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();

  const open = promises.open;
  promises.open = async function (path, flags, ...rest) {
    const error = writes(flags) ? fault("create", path) : undefined;
    if (error !== undefined) throw error;
    const opened = await open.call(this, path, flags, ...rest);
    names.set(opened, path);
    return opened;
  };
  const { write } = prototype;
  prototype.write = async function (data, offset = 0, length = data.byteLength - offset, position = null) {
    // A file that is written directly takes whole blocks.
    const half = length >= 8192 ? (length >> 1) & ~4095 : length >> 1;
    const halved = () => fs.writeSync(this.fd, data, offset, half, position);
    const error = fault("write", names.get(this), halved);
    if (error !== undefined) throw error;
    return write.call(this, data, offset, length, position);
  };
  for (const name of ["appendFile", "writeFile"]) {
    const before = prototype[name];
    prototype[name] = async function (data, ...rest) {
      const bytes = Buffer.from(data);
      const error = fault("write", names.get(this), () => fs.writeSync(this.fd, bytes, 0, bytes.length >> 1));
      if (error !== undefined) throw error;
      return before.call(this, data, ...rest);
    };
  }
  for (const name of ["sync", "datasync", "truncate"]) {
    const before = prototype[name];
    prototype[name] = async function (...args) {
      const error = fault("sync", names.get(this));
      if (error !== undefined) throw error;
      return before.apply(this, args);
    };
  }
  for (const holder of [promises, fs]) {
    const tail = holder === fs ? "Sync" : "";
    for (const name of ["rename", "mkdir", "link", "symlink", "copyFile", "cp", "truncate"]) {
      wrap(holder, `${name}${tail}`, name);
    }
    for (const name of ["writeFile", "appendFile"]) wrap(holder, `${name}${tail}`, "write");
    for (const name of ["rm", "unlink", "rmdir"]) wrap(holder, `${name}${tail}`, "rm", removeOne);
  }
  syncBuiltinESMExports();
}
