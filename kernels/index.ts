// Kernels in WebAssembly SIMD, compiled by AssemblyScript when the package is built. They work in place on the
// memory they are given; every pointer is a byte offset, every count a number of elements. A result depends on the
// numbers and the count alone, never on where they lie: the last elements take the same operations one at a time.
export { adamw } from "./adamw";
export { accumulate, sumSquares } from "./arithmetic";
export { dropoutMask } from "./dropout";
