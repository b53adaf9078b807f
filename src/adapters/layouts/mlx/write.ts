/**
 * An adapter → adapters.safetensors and adapter_config.json as mlx-lm loads them (`mlx_lm/tuner/utils.py` load_adapters).
 *
 * lora_a [in, rank] and lora_b [rank, out] are the factors turned; experts lora_a [E, rank, in], lora_b [E, out, rank]. One
 * rank and one final scale hold for all: lower ranks are padded with zeros, other scales are folded into lora_b.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonValue } from "../../../core/json.ts";
import { formatJson } from "../../../core/json-text.ts";
import { counted, quote, summarise } from "../../../core/text.ts";
import { canonicalOrder, safetensorsFrame } from "../../../formats/safetensors/writer.ts";
import type { AdapterModule } from "../../adapter.ts";
import { commonScale } from "../../output/common-scale.ts";
import { foldNotes } from "../fold-notes.ts";
import type { LayoutWriter } from "../layout-writer.ts";
import { languageModules } from "../pipeline-part.ts";
import { takeExperts } from "../stacked-experts.ts";
import { joinTiedEnds } from "../tied-ends.ts";
import { expressibleModules } from "../written-modules.ts";
import { layerKeys } from "./layer-keys.ts";
import { isEmbeddingName } from "./modules.ts";
import { moduleTensors, stackName, stackTensors } from "./written-tensors.ts";

const TARGET = "MLX";
const METADATA: ReadonlyMap<string, string> = new Map([["format", "mlx"]]);

export const mlxWriter: LayoutWriter = (adapter, context) => {
  const expressible = expressibleModules(
    { ...adapter, modules: languageModules(adapter, TARGET) },
    {
      target: TARGET,
      deltas: ["lora"],
      kinds: ["linear", "embedding", "experts"],
      magnitudes: { linear: ["outputs"], embedding: ["inputs"] },
      bias: false,
    },
    context,
  );
  const modules = joinTiedEnds(adapter, expressible, TARGET, context);
  assertEmbeddingNames(adapter.path, modules);
  const kind = fineTuneType(adapter.path, modules);
  const { stacks, others } = takeExperts(modules, TARGET, context.baseConfig);
  const all = [...others, ...stacks];
  const rank = all.reduce((most, module) => Math.max(most, module.rank), 0);
  const scale = commonScale(all.map((module) => module.scale));
  const factorOf = (own: number) => (scale === 0 ? 1 : own / scale);
  const tensors = [
    ...others.flatMap((module) => moduleTensors(module, rank, factorOf(module.scale))),
    ...stacks.flatMap((stack) => stackTensors(stack, rank, factorOf(stack.scale), context.baseConfig)),
  ];
  const names = all.map((module) => ("layer" in module ? stackName(module, context.baseConfig) : module.name));
  const { keys, layers } = layerKeys(names, context.baseConfig);
  const settings = new Map<string, JsonValue>([
    ...(adapter.baseModel === undefined ? [] : [["model", adapter.baseModel] as const]),
    ["fine_tune_type", kind],
    ["num_layers", layers],
    [
      "lora_parameters",
      new Map<string, JsonValue>([
        ["rank", rank],
        ["scale", scale],
        ["dropout", 0],
        ["keys", keys],
      ]),
    ],
  ]);
  return {
    weightsName: "adapters.safetensors",
    tensors: canonicalOrder(tensors),
    frame: (entries) => safetensorsFrame(entries, METADATA),
    metadata: METADATA,
    texts: new Map([["adapter_config.json", formatJson(settings)]]),
    notes: [
      ...paddingNotes(all, rank),
      ...foldNotes(
        all.map((module) => factorOf(module.scale)),
        `lora_b: ${TARGET} has one scale for all, ${scale}`,
      ),
    ],
  };
};

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER for an embedding that would be read as a linear layer */
function assertEmbeddingNames(file: string, modules: readonly AdapterModule[]): void {
  const other = modules.find(({ kind, name }) => kind === "embedding" && !isEmbeddingName(name));
  if (other === undefined) return;
  const problem = `the models of ${TARGET} have no embedding of this name`;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, subject: other.name });
}

/** DoRA holds for all modules or for none. */
function fineTuneType(file: string, modules: readonly AdapterModule[]): "lora" | "dora" {
  const without = modules.filter(({ magnitude }) => magnitude === undefined);
  if (without.length === modules.length) return "lora";
  if (without.length === 0) return "dora";
  const names = summarise(without.map(({ name }) => quote(name)));
  const problem = `${TARGET} has DoRA on all modules or on none, here ${names} have no magnitude`;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file });
}

function paddingNotes(modules: readonly { readonly rank: number }[], rank: number): string[] {
  const padded = modules.filter((module) => module.rank < rank).length;
  if (padded === 0) return [];
  return [`padded with zeros to rank ${rank}, as ${TARGET} has one rank for all: ${counted(padded, "module")}`];
}
