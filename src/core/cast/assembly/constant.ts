/**
 * Constants of SIMD lanes, kept in memory.
 *
 * V8 builds a `v128.const` anew at each use inside a loop, which makes these kernels 1.3 (Node 20) to 2.5 times
 * (Node 24) slower than a load that fills the lanes.
 */

/** All lanes from the 32-bit word at `address`, which `memory.data` gave. */
@inline
export function lanesOf(address: usize, offset: usize = 0): v128 {
  return v128.load32_splat(address + offset);
}
