/**
 * What primitives are made of on oneDNN's side, over both of its major versions: an engine, descriptors of views and
 * memory objects on the arena, each made once.
 */
import { type Argument, type Handle, type Library, shared } from "./library.ts";

export type Storage = "f32" | "bf16";

/** A strided window on the arena. Strides count elements. */
export interface View {
  /** Byte offset in the arena. */
  readonly offset: number;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly type: Storage;
}

export class Unimplemented extends Error {
  override readonly name = "Unimplemented";
}

/** dnnl_memory_desc_t of 2.x. */
const MEMORY_DESCRIPTOR_BYTES = 696;

export type Descriptor = Uint8Array | bigint;

export class Descriptors {
  readonly #library: Library;
  readonly #base: number;
  readonly engine: Handle;
  readonly #out = new BigUint64Array(1);
  readonly #descriptors = new Map<string, Descriptor>();
  readonly #memories = new Map<string, Handle>();

  /** @param base address of the arena that views are offsets into */
  constructor(library: Library, base: number) {
    this.#library = library;
    this.#base = base;
    this.engine = this.made("dnnl_engine_create", ["int", "size_t"], [shared.cpu, 0]);
  }

  get isThree(): boolean {
    return this.#library.version.major >= 3;
  }

  /** A memory object on the arena. */
  memory(view: View): Handle {
    const key = `${view.offset}:${keyOf(view)}`;
    const known = this.#memories.get(key);
    if (known !== undefined) return known;
    const made = this.made(
      "dnnl_memory_create",
      ["void*", "uint64_t", "uint64_t"],
      [this.describe(view), this.engine, this.#base + view.offset],
    );
    this.#memories.set(key, made);
    return made;
  }

  /** The descriptor of a view, wherever it lies. */
  describe(view: View): Descriptor {
    const key = keyOf(view);
    const known = this.#descriptors.get(key);
    if (known !== undefined) return known;
    const dims = BigInt64Array.from(view.dims, BigInt);
    const strides = BigInt64Array.from(view.strides, BigInt);
    let made: Descriptor;
    if (this.isThree) {
      made = BigInt(
        this.made(
          "dnnl_memory_desc_create_with_strides",
          ["int", "void*", "int", "void*"],
          [view.dims.length, dims, shared[view.type], strides],
        ),
      );
    } else {
      made = new Uint8Array(MEMORY_DESCRIPTOR_BYTES);
      const init = this.#library.call("dnnl_memory_desc_init_by_strides", "void*", "int", "void*", "int", "void*");
      this.check("dnnl_memory_desc_init_by_strides", init(made, view.dims.length, dims, shared[view.type], strides));
    }
    this.#descriptors.set(key, made);
    return made;
  }

  /** Calls a function that hands out a handle through its first argument. */
  made(name: string, types: readonly string[], values: readonly Argument[]): Handle {
    this.check(name, this.#library.call(name, "void*", ...types)(this.#out, ...values));
    return Number(this.#out[0]);
  }

  /** @throws Unimplemented, Error unless the status is success */
  check(name: string, status: number): void {
    if (status === 0) return;
    if (status === 3) throw new Unimplemented(`${name}: not implemented here`);
    throw new Error(`oneDNN: ${name} answered ${status === 1 ? "out of memory" : `status ${status}`}`);
  }
}

function keyOf(view: View): string {
  return `${view.type}:${view.dims}:${view.strides}`;
}
