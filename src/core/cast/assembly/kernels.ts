/**
 * Bulk casts between f32 and the other float dtypes, and random masks, in WebAssembly SIMD: the entry file of the
 * AssemblyScript build.
 *
 * Every kernel takes byte addresses and a number of elements that is a multiple of 16 (the loader pads the rest), needs
 * no alignment, reads each block before it writes it and keeps no state. The memory belongs to the loader.
 */

export { widenBf16, widenF16, widenF64, widenF8E4m3fn, widenF8E5m2 } from "./widen";
export { narrowBf16, narrowF16, narrowF64, narrowF8E4m3fn, narrowF8E5m2 } from "./narrow";
export { countBf16, countF16, countF32, countF8E4m3fn, countF8E5m2, countNonFinite } from "./counting";
export { fillMask } from "./mask";
export { multiplyBf16, multiplyF16, multiplyF32 } from "./multiply";

/** The first address after the module's own constants. */
export const freeFrom: usize = __heap_base;
