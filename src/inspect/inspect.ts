/**
 * `inspect`: what is in a file or folder, from headers only: an adapter with its effective scales, or a model.
 */

import { basename } from "node:path";
import type { LayerKind } from "../adapters/adapter.ts";
import { describeArchitecture } from "../adapters/architecture/architecture.ts";
import { fullName } from "../adapters/full-name.ts";
import { isAdapter, openAdapter } from "../adapters/open-adapter.ts";
import { DTYPE_BITS, type Dtype } from "../core/dtype.ts";
import { InterruptedError } from "../core/errors.ts";
import { assertOptionKinds, type OptionKinds, RUN_OPTION_KINDS } from "../core/option-kinds.ts";
import type { RunOptions } from "../core/progress.ts";
import { elementCount, type Shape } from "../core/shape.ts";
import type { Model } from "../formats/model.ts";
import { quantisationKey } from "../formats/model-config.ts";
import { openModel } from "../formats/open-model.ts";
import { type FormatName, formatOf } from "../formats/registry.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import { type InspectedGraph, inspectGraph } from "./inspect-graph.ts";

export interface InspectOptions extends RunOptions {
  /** An adapter or a model: a folder or a file. */
  readonly path: string;
  /** Taken as by every call, both without effect; nothing is written. */
  readonly dryRun?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
}

export interface InspectedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
  readonly bytes: number;
  /** Basename of the file that holds it. */
  readonly file: string;
}

export interface DtypeTotal {
  readonly dtype: Dtype;
  readonly tensors: number;
  readonly elements: number;
  readonly bytes: number;
}

export interface InspectedModule {
  readonly name: string;
  readonly kind: LayerKind;
  readonly method: string;
  readonly rank: number;
  readonly alpha: number;
  /** The final multiplier of the delta. */
  readonly scale: number;
}

interface Inspected {
  readonly path: string;
  readonly format: FormatName;
  readonly dtypes: readonly DtypeTotal[];
  readonly tensors: readonly InspectedTensor[];
  readonly warnings: readonly string[];
}

export interface InspectedAdapter extends Inspected {
  readonly kind: "adapter";
  readonly layout: string;
  /** `LoRA`, `rsLoRA`, `DoRA` … */
  readonly method: string;
  readonly convention: string;
  readonly baseModel: string | undefined;
  readonly modules: readonly InspectedModule[];
  /** Names of whole tensors that replace the base's. */
  readonly overrides: readonly string[];
  /** Embeddings of which single rows are replaced. */
  readonly tokenRows: readonly { readonly name: string; readonly rows: number }[];
}

export interface InspectedModel extends Inspected {
  readonly kind: "model";
  /** `model_type` of config.json. */
  readonly modelType: string | undefined;
  /** config.json says that weights are quantised: the method, where it has a name. */
  readonly quantised?: string;
  /** Input embedding and output head are one tensor. */
  readonly tied: boolean;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Only of ONNX graphs. */
  readonly graph?: InspectedGraph;
}

export type InspectReport = InspectedAdapter | InspectedModel;

const OPTION_KINDS: OptionKinds<InspectOptions> = {
  ...RUN_OPTION_KINDS,
  path: "required a text",
  dryRun: "true or false",
  overwrite: "true or false",
};

/**
 * Describes what a path holds.
 *
 * @throws {UsageError} naming the option that is unknown or wrong
 * @throws typed errors, as a merge would for the same file
 */
export async function inspect(options: InspectOptions): Promise<InspectReport> {
  assertOptionKinds("inspect", options, OPTION_KINDS);
  const { path, signal, onProgress } = options;
  if (signal?.aborted) throw new InterruptedError();
  const report = await (isAdapter(path) ? inspectAdapter(path) : inspectModel(path));
  const { length } = report.tensors;
  onProgress?.({ phase: "plan", done: length, total: length, unit: "tensors" });
  return report;
}

async function inspectAdapter(path: string): Promise<InspectedAdapter> {
  const adapter = await openAdapter(path);
  const tensors = [...adapter.tensors.values()];
  return {
    kind: "adapter",
    path,
    format: formatOf(adapter.files[0]?.path ?? "") ?? "safetensors",
    layout: adapter.layout,
    method: adapter.method,
    convention: adapter.convention,
    baseModel: adapter.baseModel,
    modules: adapter.modules.map((module) => {
      const { kind, delta, magnitude, rank, alpha, scale } = module;
      const method = magnitude === undefined ? delta.kind : "dora";
      return { name: fullName(module), kind, method, rank, alpha, scale };
    }),
    overrides: adapter.overrides.map((override) => override.name),
    tokenRows: adapter.tokenRows.map(({ name, indices }) => ({ name, rows: indices.length })),
    dtypes: totals(tensors),
    tensors: tensors.map(describeTensor),
    warnings: adapter.warnings,
  };
}

async function inspectModel(path: string): Promise<InspectedModel> {
  const model = await openModel(path);
  const { store } = model;
  const tensors = [...store.tensors.values()];
  const modelType = model.config?.get("model_type");
  return {
    kind: "model",
    path,
    format: formatOf(model.weightFiles[0]?.name ?? "") ?? "safetensors",
    modelType: typeof modelType === "string" ? modelType : undefined,
    ...describeQuantisation(model),
    tied: describeArchitecture(model).tie !== undefined,
    files: store.files.map((file) => ({ name: basename(file.path), bytes: file.size })),
    metadata: Object.fromEntries(store.metadata),
    ...(model.graph && { graph: inspectGraph(model.graph) }),
    dtypes: totals(tensors),
    tensors: tensors.map(describeTensor),
    warnings: store.warnings,
  };
}

function describeQuantisation({ config }: Model): Pick<InspectedModel, "quantised"> {
  const key = quantisationKey(config);
  if (key === undefined) return {};
  const settings = config?.get(key);
  const method = settings instanceof Map ? settings.get("quant_method") : undefined;
  return { quantised: typeof method === "string" ? method : key };
}

function describeTensor({ name, dtype, shape, byteLength, source }: TensorData): InspectedTensor {
  return { name, dtype, shape, bytes: byteLength, file: source.kind === "file" ? basename(source.path) : "" };
}

function totals(tensors: readonly TensorData[]): DtypeTotal[] {
  return (Object.keys(DTYPE_BITS) as Dtype[]).flatMap((dtype) => {
    const own = tensors.filter((tensor) => tensor.dtype === dtype);
    if (own.length === 0) return [];
    const elements = own.reduce((sum, { shape }) => sum + (elementCount(shape) ?? 0), 0);
    return [{ dtype, tensors: own.length, elements, bytes: own.reduce((sum, { byteLength }) => sum + byteLength, 0) }];
  });
}
