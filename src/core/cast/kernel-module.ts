/**
 * The WebAssembly module of assembly/kernels.ts: found beside this file, compiled once a thread, instantiated on a
 * memory of fixed size.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FileError, MemoryError } from "../errors.ts";

/** Byte addresses, then a count of elements that is a multiple of `BLOCK`; see assembly/kernels.ts for each. */
export type Kernel = (...addressesAndCount: number[]) => void;

type CastDtype = "Bf16" | "F16" | "F64" | "F8E4m3fn" | "F8E5m2";
export type WidenName = `widen${CastDtype}`;
export type NarrowName = `narrow${CastDtype}`;
export type CountName = `count${Exclude<CastDtype, "F64">}` | "countF32";

export type KernelExports = Readonly<Record<WidenName | NarrowName | CountName, Kernel>> & {
  readonly countNonFinite: (address: number, count: number) => number;
  /** Target, count, the four words of the first counter, the two of the key, codes that drop, what is kept. */
  readonly fillMask: Kernel;
} & Readonly<Record<MultiplyName, MultiplyKernel>>;

/** Source, target, count, factor, where the results go. */
type MultiplyKernel = (source: number, target: number, count: number, factor: number, results: number) => void;
export type MultiplyName = `multiply${"F32" | "Bf16" | "F16"}`;

/** What is used here of the WebAssembly JavaScript API 2.0, which TypeScript declares only together with the DOM. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => WebAssemblyModule;
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (
    module: WebAssemblyModule,
    imports: { readonly env: { readonly memory: object } },
  ) => { readonly exports: unknown };
};

interface WebAssemblyModule {
  readonly __webAssemblyModule: never;
}

/** Elements that every kernel takes at once. */
export const BLOCK = 16;

const PAGE_BYTES = 65_536;
/** One page short of 4 GiB, so that the end of a view is still a 32-bit address. */
const MAX_PAGES = 65_535;

export interface KernelInstance {
  readonly exports: KernelExports;
  /** Never grows, so views of it stay valid. */
  readonly buffer: ArrayBuffer;
  /** First address that the module does not use itself. */
  readonly freeFrom: number;
}

/**
 * @param bytes room beyond the module's own constants
 * @throws {FileError} FILE_NOT_FOUND when the program was not built
 * @throws {MemoryError} OUT_OF_MEMORY when the system does not give the memory
 */
export function instantiateKernels(bytes: number): KernelInstance {
  compiled ??= new WebAssembly.Module(readKernels());
  // One page more, for the constants.
  const memory = reserve(1 + Math.ceil(bytes / PAGE_BYTES));
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  const kernels = exports as KernelExports & { readonly freeFrom: { readonly value: number } };
  return { exports: kernels, buffer: memory.buffer, freeFrom: kernels.freeFrom.value };
}

function reserve(pages: number): { readonly buffer: ArrayBuffer } {
  const bytes = pages * PAGE_BYTES;
  if (pages > MAX_PAGES)
    throw new MemoryError(`buffers of one thread are too large, expected below 4 GiB, got ${bytes}`);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw new MemoryError(`no memory for the buffers of one thread, ${bytes} bytes`, {
      cause,
      hint: "use fewer --workers, or give the process more memory",
    });
  }
}

let compiled: WebAssemblyModule | undefined;

function readKernels(): Uint8Array {
  const url = new URL("./kernels.wasm", import.meta.url);
  try {
    return readFileSync(url);
  } catch (cause) {
    const details = { file: fileURLToPath(url), hint: "run `npm run build`", cause };
    throw new FileError("FILE_NOT_FOUND", "the compiled cast kernels are missing: run `npm run build`", details);
  }
}
