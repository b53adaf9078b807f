/**
 * The inputs of a merge, opened and understood: base, adapters, and the plan that follows from both.
 */

import { EXPERT_ORDERS, type ExpertOrder } from "../adapters/adapter.ts";
import { describeArchitecture } from "../adapters/architecture/architecture.ts";
import { scalesWhereTied } from "../adapters/architecture/tied-types.ts";
import type { ResolvedAdapter } from "../adapters/edit.ts";
import { openAdapter } from "../adapters/open-adapter.ts";
import { mayBeCodes } from "../adapters/resolve/quantized.ts";
import { resolveAdapter } from "../adapters/resolve/resolve.ts";
import { UnsupportedError, UsageError } from "../core/errors.ts";
import type { OptionKinds } from "../core/option-kinds.ts";
import { escapeText, quote } from "../core/text.ts";
import type { Model } from "../formats/model.ts";
import { quantisationKey } from "../formats/model-config.ts";
import { openModel } from "../formats/open-model.ts";
import { findFormat } from "../formats/registry.ts";
import type { FileIdentity } from "../formats/tensor-store.ts";
import { takesDeltas } from "./combine/join-edits.ts";
import {
  type ChosenMethod,
  chooseMethod,
  METHOD_OPTION_KINDS,
  type MethodOptions,
  unusedParameters,
} from "./combine/options.ts";
import { type Folding, planFolding } from "./fold.ts";
import { type MergePlan, OUTPUT_DTYPES, type OutputDtype, planMerge } from "./plan.ts";
import type { WeightedAdapter } from "./provenance.ts";

export interface InputOptions extends MethodOptions {
  /** HF folder, `model.safetensors.index.json`, one `.safetensors` file or one `.onnx` graph. */
  readonly base: string;
  /** Paths of adapters; `weight` multiplies the delta, default 1. */
  readonly adapters: readonly { readonly path: string; readonly weight?: number | undefined }[];
  readonly dtype?: OutputDtype | undefined;
  /** Let adapter modules that the base does not have go unused. */
  readonly allowUnused?: boolean | undefined;
  /** Order of the stacked experts in `up`, where the adapter was not made by PEFT. */
  readonly expertOrder?: ExpertOrder | undefined;
  /** Fold the LoRA branches that an ONNX graph carries into its layers; adapters are optional then. */
  readonly fold?: boolean | undefined;
  /** Names that are settled by hand: module or parameter of an adapter → tensor of the base. */
  readonly map?: Readonly<Record<string, string>> | undefined;
}

/** What each of them may hold, before its range is looked at. */
export const INPUT_OPTION_KINDS = {
  ...METHOD_OPTION_KINDS,
  base: "required a text",
  adapters: "required a list of { path, weight? }",
  dtype: OUTPUT_DTYPES,
  allowUnused: "true or false",
  expertOrder: EXPERT_ORDERS,
  fold: "true or false",
  map: "texts by name",
} as const satisfies OptionKinds<InputOptions>;

export interface Inputs {
  readonly model: Model;
  readonly adapters: readonly WeightedAdapter[];
  readonly method: ChosenMethod;
  readonly plan: MergePlan;
  /** Branches of a graph that go into their layers. */
  readonly folding: Folding | undefined;
  readonly warnings: readonly string[];
}

/**
 * Opens base and adapters and plans the merge, from headers only.
 *
 * @throws {MismatchError} with every misfit of every adapter
 */
export async function openInputs(options: InputOptions): Promise<Inputs> {
  const { expertOrder, allowUnused = false, dtype = "keep", fold = false } = options;
  if (options.adapters.length === 0 && !fold) throw new UsageError("expected at least one adapter, got none");
  const method = chooseMethod(options);
  const model = await openModel(options.base);
  assertMergeable(model, dtype);
  const map = new Map(Object.entries(options.map ?? {}));
  const adapters: WeightedAdapter[] = [];
  for (const { path, weight = 1 } of options.adapters) {
    if (!Number.isFinite(weight)) throw new UsageError(`expected a finite weight, got ${weight}`, { subject: path });
    adapters.push({ adapter: await openAdapter(path), weight });
  }
  const resolved: ResolvedAdapter[] = [];
  const resolve = async ({ adapter, weight }: WeightedAdapter, map: ReadonlyMap<string, string>) => {
    const ownWeight = takesDeltas(method) ? 1 : weight;
    const settings = { weight: ownWeight, map, ...(expertOrder && { expertOrder }) };
    resolved.push(await resolveAdapter(adapter, model, settings));
  };
  for (const one of adapters) await resolve(one, map);
  const folding = planFolding(model, resolved, fold);
  const { own: ownAdapters = [], layers = new Map() } = folding ?? {};
  for (const adapter of ownAdapters) {
    const own = { adapter, weight: 1 };
    adapters.push(own);
    await resolve(own, layers);
  }
  const architecture = describeArchitecture(model);
  const plan = planMerge(model, architecture, resolved, {
    dtype,
    allowUnused,
    method,
    weights: adapters.map(({ weight }) => weight),
    removed: removedNames(model, folding),
  });
  const warnings = [
    ...unusedParameters(options),
    ...(method.rank !== undefined && method.name !== "svd" ? [`rank has no part in ${method.name}`] : []),
    ...model.leftBehind,
    ...model.store.warnings,
    ...leftoverQuantisation(model),
    ...adapters.flatMap(({ adapter }) => adapter.warnings),
    ...repeated(adapters),
    ...(folding?.warnings ?? []),
    ...resolved.flatMap((one) => one.warnings),
    ...(plan.unties && scalesWhereTied(architecture.types) ? [NEEDS_TRANSFORMERS_5] : []),
    ...(allowUnused ? resolved.flatMap((one) => one.unmatched) : []),
  ];
  return { model, adapters, method, plan, folding, warnings };
}

const NEEDS_TRANSFORMERS_5 =
  "the uses of the shared embedding part: transformers 5 loads them so, older versions tie them again; tie_word_embeddings " +
  "stays as it is, because the model scales its outputs by it";

/** Saved after dequantising, with the settings of before: transformers quantises such weights again, or fails. */
function leftoverQuantisation({ config, path, store }: Model): string[] {
  const key = quantisationKey(config);
  if (key === undefined || [...store.tensors.values()].some(mayBeCodes)) return [];
  return [
    `${escapeText(path)}: config.json has ${quote(key)}, but no weight is quantised: readers may refuse the result`,
  ];
}

/** Names of the tensors that go with folded branches. */
function removedNames({ graph }: Model, folding: Folding | undefined): Set<string> {
  const gone = folding?.removal.constants;
  if (graph === undefined || gone === undefined) return new Set();
  return new Set([...graph.byName.values()].flatMap(({ name, constant }) => (gone.has(constant) ? [name] : [])));
}

function assertMergeable({ kind, path, graph }: Model, dtype: OutputDtype): void {
  const format = kind === "file" ? findFormat(path) : "safetensors";
  if (format !== "safetensors" && format !== "onnx") {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", `merging into a base of format ${format} is not supported`, {
      file: path,
      hint: "merge into the safetensors model that it was made from, and convert the result",
    });
  }
  if (graph === undefined || dtype === "keep") return;
  throw new UnsupportedError(
    "UNSUPPORTED_DTYPE",
    `the nodes of a graph are typed, so its constants cannot become ${dtype}`,
    {
      file: path,
      hint: "merge without --dtype, and convert the whole graph with a tool for that",
    },
  );
}

/** One line for each adapter that was given before, under whatever path. */
export function repeated(adapters: readonly WeightedAdapter[]): string[] {
  const seen = new Set<string>();
  return adapters.flatMap(({ adapter: { path, files } }) => {
    const identity = files.map(({ device, inode }) => `${device}:${inode}`).join();
    // Those of a graph lie in its own file.
    if (identity === "") return [];
    if (seen.has(identity)) return [`${escapeText(path)}: given twice, so its deltas count twice`];
    seen.add(identity);
    return [];
  });
}

/** Every file that the inputs were read from. */
export function filesOf({ model, adapters }: Inputs): FileIdentity[] {
  return [...model.store.files, ...adapterFilesOf(adapters)];
}

/** Every file that adapters were read from. */
export function adapterFilesOf(adapters: readonly WeightedAdapter[]): FileIdentity[] {
  return adapters.flatMap(({ adapter }) => adapter.files);
}
