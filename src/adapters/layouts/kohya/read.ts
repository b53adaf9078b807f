/**
 * A file of kohya's sd-scripts or of LyCORIS into an `Adapter`: `<flat module name>.<factor>`, no settings file.
 *
 * The first dot ends the name of the module, whose own dots are underscores; `resolve/pipeline-names.ts` finds them in the base.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { quote, summarise } from "../../../core/text.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { Adapter, AdapterModule } from "../../adapter.ts";
import { flatPart } from "../../architecture/pipeline/parts.ts";
import { type AdapterFiles, FACTORS_ONLY, type LayoutReader } from "../layout-reader.ts";
import { Problems } from "../peft/problems.ts";
import { FACTORS, type LycorisFactor, REFUSED } from "./factors.ts";
import { readLycorisModule } from "./modules.ts";

function detect({ store }: AdapterFiles): boolean {
  for (const name of store.tensors.keys()) if (readKey(name) !== undefined) return true;
  return false;
}

/** @throws {MismatchError | UnsupportedError} naming all misfits */
function read({ path, store }: AdapterFiles): Adapter {
  const problems = new Problems();
  const entries = new Map<string, Map<LycorisFactor, TensorData>>();
  for (const tensor of store.tensors.values()) {
    const key = readKey(tensor.name);
    const factor = FACTORS.find((candidate) => candidate === key?.factor);
    if (key === undefined || factor === undefined) refuse(tensor, key?.factor, problems, store.path);
    else entries.set(key.module, (entries.get(key.module) ?? new Map<LycorisFactor, TensorData>()).set(factor, tensor));
  }
  const modules = [...entries].flatMap(([name, factors]) => readLycorisModule(name, factors, problems));
  problems.throwIfAny(store.path);
  return {
    path,
    layout: "kohya",
    method: methodOf(modules),
    flatNames: true,
    convention: "lora",
    modules,
    ...FACTORS_ONLY,
    tensors: withoutNumbers(store.tensors, entries),
    files: store.files,
    warnings: [...store.warnings, ...alphaWarnings(entries)],
  };
}

export const kohyaReader: LayoutReader = { detect, read };

interface Key {
  readonly module: string;
  readonly factor: string;
}

function readKey(name: string): Key | undefined {
  const dot = name.indexOf(".");
  if (dot < 0 || flatPart(name) === undefined) return undefined;
  return { module: name.slice(0, dot), factor: name.slice(dot + 1) };
}

/** @throws {UnsupportedError} for what is known and not read */
export function refuse(tensor: TensorData, factor: string | undefined, problems: Problems, file: string): void {
  const reason = REFUSED.get(factor ?? "");
  if (reason !== undefined) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", reason, { file, subject: tensor.name });
  }
  problems.add("ADAPTER_MISMATCH", tensor.name, "is no tensor of an algorithm that is read");
}

/** One name for the file: of all its kinds of changes. */
export function methodOf(modules: readonly AdapterModule[]): string {
  const names = modules.map(({ delta, magnitude }) => (magnitude === undefined ? METHODS[delta.kind] : "DoRA"));
  return [...new Set(names)].join(", ");
}

const METHODS: Record<AdapterModule["delta"]["kind"], string> = {
  lora: "LoRA",
  loha: "LoHa",
  lokr: "LoKr",
  ia3: "IA3",
  vera: "VeRA",
  oft: "OFT",
  full: "full",
};

/** The tensors to account for: alphas and flags were read into numbers. */
export function withoutNumbers(
  all: ReadonlyMap<string, TensorData>,
  entries: ReadonlyMap<string, ReadonlyMap<LycorisFactor, TensorData>>,
): Adapter["tensors"] {
  const tensors = new Map(all);
  for (const factors of entries.values()) {
    for (const factor of ["alpha", "on_input"] as const) tensors.delete(factors.get(factor)?.name ?? "");
  }
  return tensors;
}

export function alphaWarnings(entries: ReadonlyMap<string, ReadonlyMap<LycorisFactor, TensorData>>): string[] {
  const scaled = [...entries].filter(([, factors]) => [...factors.keys()].some((factor) => SCALED.test(factor)));
  const without = scaled.filter(([, factors]) => !factors.has("alpha"));
  if (without.length === 0) return [];
  const names = summarise(
    without.map(([name]) => quote(name)),
    3,
  );
  return [`the file has no alpha for ${names}: their scale is 1`];
}

const SCALED = /^(?:lora_down|hada_w1_a$|lokr_w\d_a$)/;
