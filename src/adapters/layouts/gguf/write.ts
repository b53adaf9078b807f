/**
 * An adapter → a LoRA file of llama.cpp, as its converter would write it and its loader reads it (`llama-adapter.cpp`).
 *
 * One `adapter.lora.alpha` in f32 holds for all modules, scale alpha / rank, and an alpha of 0 means a scale of 1. So alpha
 * is scale · rank, whatever the convention, and modules that would need another one have the rest folded into `lora_b`.
 * The converter's changes of the weights are made on the factors: rows of queries and keys of Llama, the turned embedding.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";
import { encodePairs, type GgufValue, ggufFrame } from "../../../formats/gguf/writer.ts";
import type { Adapter, AdapterModule } from "../../adapter.ts";
import { modelTypes } from "../../architecture/model-types.ts";
import { saysTied } from "../../architecture/tied-embedding.ts";
import { commonScale } from "../../output/common-scale.ts";
import type { OutputTensor } from "../../output/output-tensor.ts";
import { foldNotes } from "../fold-notes.ts";
import type { LayoutWriter, WriteContext } from "../layout-writer.ts";
import { languageModules } from "../pipeline-part.ts";
import { expressibleModules } from "../written-modules.ts";
import { GGUF_ARCHITECTURE_OF_TYPE, ggufModule, ggufTensor } from "./names.ts";
import { factorTensors } from "./written-tensors.ts";

const TARGET = "GGUF";

export const ggufWriter: LayoutWriter = (adapter, context) => {
  const own = { ...adapter, modules: languageModules(adapter, TARGET) };
  const architecture = architectureOf(adapter, context);
  const modules = expressibleModules(
    own,
    { target: TARGET, deltas: ["lora"], kinds: ["linear", "embedding"], magnitudes: {}, bias: false },
    context,
  );
  const notes = tieNotes(own, modules, context);
  const wanted = commonScale(modules.map(({ scale, rank }) => scale * rank));
  // 0 would mean a scale of 1: the numbers become 0 instead.
  const alpha = Math.fround(wanted) || 1;
  const factorOf = ({ scale, rank }: AdapterModule) =>
    scale * rank === wanted && wanted !== 0 ? 1 : (scale * rank) / alpha;
  const tensors = modules.flatMap((module) => {
    const name = tensorName(module, architecture, adapter, context);
    const heads = ggufModule(architecture, name)?.interleavedHeads;
    return factorTensors(module, { name, heads, factor: factorOf(module), config: context.baseConfig });
  });
  const pairs = settings(architecture, alpha, adapter.baseModel);
  return {
    weightsName: undefined,
    tensors,
    frame: (entries) => ggufFrame(entries, encodePairs(pairs)),
    metadata: new Map(Array.from(pairs, ([key, { value }]) => [key, String(value)])),
    texts: new Map(),
    notes: [
      ...foldNotes(modules.map(factorOf), `lora_b: ${TARGET} has one alpha for all, ${alpha}`),
      ...roundingNotes(wanted, alpha),
      ...widenedNotes(tensors, modules),
      ...notes,
    ],
  };
};

function settings(architecture: string, alpha: number, baseModel: string | undefined): ReadonlyMap<string, GgufValue> {
  return new Map<string, GgufValue>([
    ["general.architecture", { type: "string", value: architecture }],
    ["general.type", { type: "string", value: "adapter" }],
    ["adapter.type", { type: "string", value: "lora" }],
    ["adapter.lora.alpha", { type: "f32", value: alpha }],
    ...(baseModel === undefined
      ? []
      : ([
          ["general.base_model.count", { type: "u32", value: 1 }],
          ["general.base_model.0.name", { type: "string", value: baseModel }],
        ] as const)),
  ]);
}

function architectureOf(adapter: Adapter, { baseConfig }: WriteContext): string {
  if (baseConfig === undefined) {
    const problem = `${TARGET} needs the architecture and heads of the base, which its config.json tells`;
    const hint = "pass --base with the folder of the base";
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: adapter.path, hint });
  }
  const types = [...modelTypes(baseConfig)];
  const known = types.map((type) => GGUF_ARCHITECTURE_OF_TYPE.get(type)).find((name) => name !== undefined);
  if (known !== undefined) return known;
  const expected = [...GGUF_ARCHITECTURE_OF_TYPE.keys()].join(", ");
  const problem = `expected a base of type ${expected}, got ${types.map(quote).join(", ") || "none"}`;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: adapter.path });
}

function tensorName(
  { name }: AdapterModule,
  architecture: string,
  { path }: Adapter,
  { baseConfig }: WriteContext,
): string {
  const tensor = ggufTensor(architecture, name);
  const isMissingHead = tensor === "output" && baseConfig !== undefined && saysTied(baseConfig);
  if (tensor !== undefined && !isMissingHead) return tensor;
  const why = isMissingHead ? "the base is tied and has no head of its own" : "has no such layer";
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", `${why} in llama.cpp's ${architecture}`, {
    file: path,
    subject: name,
  });
}

/**
 * llama.cpp looks adapters up by the names of tensors, and the head of a tied base has that of the embedding.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER where both ends were adapted by one module
 */
function tieNotes(adapter: Adapter, modules: readonly AdapterModule[], { baseConfig }: WriteContext): string[] {
  const embedding = modules.find(({ kind }) => kind === "embedding");
  if (embedding === undefined || baseConfig === undefined || !saysTied(baseConfig)) return [];
  if (adapter.keepsTie) {
    const problem = `adapts both ends of a tied embedding, ${TARGET} has a place for the input only`;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: adapter.path, subject: embedding.name });
  }
  return [
    "the base is tied: llama.cpp finds the adapter of token_embd at its head too, where the factors do not fit; " +
      "llama-export-lora and lora-tool merge it rightly",
  ];
}

function roundingNotes(wanted: number, alpha: number): string[] {
  if (wanted === alpha || wanted === 0) return [];
  const error = Math.abs(alpha - wanted) / Math.abs(wanted);
  return [`alpha ${wanted} is ${alpha} in f32: scales are off by ${error.toPrecision(2)} of their size`];
}

/** llama.cpp computes with f32, f16 and bf16. */
function widenedNotes(tensors: readonly OutputTensor[], modules: readonly AdapterModule[]): string[] {
  const stored = new Set(
    modules.flatMap(({ delta }) => (delta.kind === "lora" ? [delta.down.dtype, delta.up.dtype] : [])),
  );
  const others = [...stored].filter((dtype) => !tensors.some((tensor) => tensor.dtype === dtype));
  return others.length === 0 ? [] : [`${others.join(", ")} factors are written as f32`];
}
