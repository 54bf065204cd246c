/**
 * oneDNN as a foreign library: finding it, checking that it is one we can use, and the C calls of it that we make.
 *
 * oneDNN is a plain system package (libdnnl2, libdnnl3, onednn), never bundled. Its two major versions describe a
 * primitive in different ways (2.x: a descriptor struct filled by …_desc_init, then dnnl_primitive_desc_create; 3.x:
 * opaque descriptors and one …_primitive_desc_create a primitive) and number their algorithms differently. Both are
 * declared here and nowhere else; primitives.ts speaks one language above them.
 *
 * Source: oneDNN's C API, headers dnnl.h and dnnl_types.h of 2.6 and 3.13.
 */
import { createRequire } from "node:module";
import type { LibraryHandle } from "koffi";

const require = createRequire(import.meta.url);

/** Handles travel as 64-bit integers; addresses below 2^53 are plain numbers. */
export type Handle = number | bigint;
export type Argument = Handle | Uint8Array | BigInt64Array | BigUint64Array | Float32Array | Int32Array | null;
/** A C function that answers with a status: 0 is success. */
export type Call = (...values: readonly Argument[]) => number;

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** The numbers that differ between the major versions: of 2.x and of 3.x. */
const numbers = {
  relu: [31, 32],
  tanh: [47, 33],
  geluErf: [48, 49],
  geluTanh: [207, 43],
  swish: [223, 44],
  exp: [191, 42],
  log: [239, 45],
  sqrt: [111, 37],
  linear: [127, 38],
  pow: [32, 48],
  useScale: [8, 2],
  useShift: [16, 4],
  postOpBase: [16384, 32768],
} as const;

/** oneDNN's element-wise functions. */
export type Algorithm = Exclude<keyof typeof numbers, "useScale" | "useShift" | "postOpBase">;

/** The same in both versions. */
export const shared = {
  cpu: 1,
  inOrder: 1,
  bf16: 2,
  f32: 3,
  forwardTraining: 64,
  backward: 128,
  add: 0x1fff0,
  mul: 0x1fff1,
  div: 0x1fff4,
  sub: 0x1fff5,
  softmaxAccurate: 0x30000,
  queryImplementation: 8,
} as const;

export interface Library {
  readonly path: string;
  readonly version: Version;
  number(of: keyof typeof numbers): number;
  /** C functions by name, declared on first use. */
  call(name: string, ...types: readonly string[]): Call;
  /** Threads for oneDNN's own parallel loops, of the thread that calls. */
  setThreads(threads: number): void;
  /** The address of a buffer that outlives the call. */
  address(buffer: ArrayBufferView): number;
  /** A C string. */
  text(address: Handle): string;
  /** Asks the system for large pages in a region, where it gives them for the asking; else nothing happens. */
  preferLargePages(address: number, bytes: number): void;
}

/** Why oneDNN can't be used here; worded for a person by the engine's `probe`. */
export class LibraryUnusable extends Error {
  override readonly name = "LibraryUnusable";
}

/** Tried in this order; BERT2BERT_ONEDNN names another file. */
function candidates(): readonly string[] {
  const named = process.env.BERT2BERT_ONEDNN;
  if (named !== undefined && named !== "") return [named];
  if (process.platform === "darwin") {
    return [
      "libdnnl.3.dylib",
      "/opt/homebrew/lib/libdnnl.3.dylib",
      "/usr/local/lib/libdnnl.3.dylib",
      "libdnnl.2.dylib",
    ];
  }
  if (process.platform === "win32") return ["dnnl.dll"];
  return ["libdnnl.so.3", "libdnnl.so.2"];
}

/**
 * Loads the library, after telling its OpenMP runtime how to wait.
 * @throws LibraryUnusable saying what was tried
 */
export function loadLibrary(): Library {
  const koffi: typeof import("koffi") = require("koffi");
  const failures: string[] = [];
  const system = systemCalls(koffi);
  system.waitBriefly();
  for (const path of candidates()) {
    let handle: LibraryHandle;
    try {
      handle = koffi.load(path);
    } catch (error) {
      failures.push(`${path}: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`);
      continue;
    }
    let version: Version;
    try {
      const struct = koffi.struct({ major: "int", minor: "int", patch: "int" });
      version = koffi.decode(handle.func("dnnl_version", "void*", [])(), struct);
    } catch {
      failures.push(`${path}: it is not oneDNN`);
      continue;
    }
    if (version.major < 2 || (version.major === 2 && version.minor < 6) || version.major > 3) {
      failures.push(`${path}: version ${version.major}.${version.minor} (2.6 to 3.x are supported)`);
      continue;
    }
    system.pin(path);
    beQuiet(handle);
    const declared = new Map<string, Call>();
    return {
      path,
      version,
      number: (of) => numbers[of][version.major === 2 ? 0 : 1],
      call(name, ...types) {
        const known = declared.get(name);
        if (known !== undefined) return known;
        const made: Call = handle.func(name, "int", [...types]);
        declared.set(name, made);
        return made;
      },
      setThreads: (threads) => {
        try {
          handle.func("omp_set_num_threads", "void", ["int"])(threads);
        } catch {
          // Not built on OpenMP: the environment (OMP_NUM_THREADS), set before loading, is all there is.
        }
      },
      address: (buffer) => Number(koffi.address(buffer)),
      text: (address) => String(koffi.decode(address, "char", 128)).split("\0")[0],
      preferLargePages: system.preferLargePages,
    };
  }
  throw new LibraryUnusable(failures.join("; "));
}

/** Newer versions print what fails to stdout, among our own output, unless told not to; who asked for it gets it. */
function beQuiet(library: LibraryHandle): void {
  if (process.env.ONEDNN_VERBOSE !== undefined || process.env.DNNL_VERBOSE !== undefined) return;
  try {
    library.func("dnnl_set_verbose", "int", ["int"])(0);
  } catch {
    // A version without it prints nothing unasked.
  }
}

const RTLD_NOW = 2;
const MADV_HUGEPAGE = 14;

/**
 * How often GNU's OpenMP looks whether its threads have arrived before it sleeps, some 20 µs. Its own 300,000 looks
 * (5 ms and more) make a process that shares its cores with others crawl: each of its threads burns its turn waiting
 * for another that has none (docs/results/cpu-speed.md).
 */
const SPIN_COUNT = "1000";

interface SystemCalls extends Pick<Library, "preferLargePages"> {
  waitBriefly(): void;
  pin(path: string): void;
}

function systemCalls(koffi: typeof import("koffi")): SystemCalls {
  if (process.platform === "win32") return { waitBriefly: () => {}, pin: () => {}, preferLargePages: () => {} };
  const library = koffi.load(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6");
  return {
    /** In the real environment, which is where OpenMP looks; a worker's `process.env` is a copy. What is set stands. */
    waitBriefly: () => {
      if (process.env.OMP_WAIT_POLICY !== undefined) return;
      library.func("setenv", "int", ["str", "str", "int"])("GOMP_SPINCOUNT", SPIN_COUNT, 0);
    },
    /**
     * Keeps the library in the process for good. A handle of koffi's closes it when it is collected or its thread ends,
     * and OpenMP's threads, which outlive both, would then run code that is no longer there.
     */
    pin: (path) => {
      library.func("dlopen", "void*", ["str", "int"])(path, RTLD_NOW);
    },
    preferLargePages: (address, bytes) => {
      if (process.platform !== "linux") return;
      library.func("madvise", "int", ["uint64_t", "size_t", "int"])(address, bytes, MADV_HUGEPAGE);
    },
  };
}
