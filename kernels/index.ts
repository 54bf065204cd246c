// Kernels in WebAssembly SIMD, compiled by AssemblyScript when the package is built. They work in place on the
// memory they are given; every pointer is a byte offset.
export function sum(x: usize, n: i32): f32 {
  let s: f32 = 0;
  for (let i = 0; i < n; i++) s += load<f32>(x + (<usize>i << 2));
  return s;
}
