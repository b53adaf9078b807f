/**
 * LoRA, rsLoRA, DoRA and their initialisations, of linear layers, embeddings, convolutions and stacked experts.
 *
 * lora_A [rank, in, kernel …], lora_B [out, rank, 1 …]; embeddings lora_embedding_A [rank, rows], lora_embedding_B
 * [dim, rank]; experts lora_A [E·rank, in], lora_B [out, rank·E] (PEFT 0.21.2 `lora/layer.py`, `lora/variants.py`).
 */

import type { TensorData } from "../../../formats/tensor-store.ts";
import type { AdapterModule, LayerKind } from "../../adapter.ts";
import { effectiveScale } from "../../scale.ts";
import { blockDiagonalSide, writeOutBlocks } from "./block-diagonal.ts";
import type { PeftConfig } from "./config.ts";
import type { ModuleEntry } from "./entries.ts";
import { hasDimensions, hasLength, hasRank, takeFactors } from "./factor-shapes.ts";
import { type ModuleReader, patternName, type ReadContext, rankAndAlpha } from "./module-reader.ts";
import { unsupported } from "./unsupported.ts";

interface Factors {
  readonly kind: LayerKind;
  readonly down: TensorData;
  readonly up: TensorData;
  readonly magnitude: TensorData | undefined;
  readonly bias: TensorData | undefined;
}

export const readLora: ModuleReader = (entry, context) => {
  const { config, problems } = context;
  const { module } = entry.place;
  const adapted = context.parameterOf(entry);
  const parameter = adapted?.name;
  const settingsName = patternName(entry, adapted);
  const { rank, alpha } = rankAndAlpha(config, settingsName);
  const factors =
    entry.factors.has("lora_embedding_A") || entry.factors.has("lora_embedding_B")
      ? takeEmbedding(entry, context)
      : takeLayer(entry, context);
  if (factors === undefined) return undefined;
  const experts = adapted?.targeted === true ? countExperts(module, factors, rank, context) : 1;
  if (experts === undefined || !ranksFit(module, factors, rank * experts, context)) return undefined;
  const { up, magnitude, bias } = factors;
  const [outputs = 0] = up.shape;
  if (magnitude !== undefined && !hasLength(magnitude, outputs, problems)) return undefined;
  if (bias !== undefined && !hasLength(bias, outputs, problems)) return undefined;
  const kind = experts > 1 ? "experts" : factors.kind;
  const residual = residualOf(config, kind, parameter, module);
  return {
    name: module,
    // A 2-D parameter named `weight` is the weight of an ordinary layer.
    ...(parameter === undefined || (kind === "linear" && parameter === "weight") ? {} : { parameter }),
    ...(settingsName === module ? {} : { settingsName }),
    kind,
    delta: { kind: "lora", down: factors.down, up },
    rank,
    alpha,
    scale: effectiveScale(config.convention, alpha, rank),
    ...(magnitude === undefined ? {} : { magnitude }),
    ...(bias === undefined ? {} : { bias }),
    ...(residual === undefined ? {} : { residual }),
    ...(kind === "experts" ? { expertLayout: { order: "rank-major", swapped: config.swappedExperts } } : {}),
  };
};

function takeLayer(entry: ModuleEntry, { config, problems }: ReadContext): Factors | undefined {
  const required = [
    "lora_A" as const,
    "lora_B" as const,
    ...(config.dora ? (["lora_magnitude_vector"] as const) : []),
    ...(config.loraBias ? (["lora_B.bias"] as const) : []),
  ];
  const taken = takeFactors(entry, required, ["lora_magnitude_vector", "lora_B.bias"], problems);
  if (taken === undefined || !agreesOnDora(entry, config, problems)) return undefined;
  const { lora_A, lora_B, lora_magnitude_vector: magnitude, "lora_B.bias": bias } = taken;
  if (!hasDimensions([lora_A, lora_B], [2, 5], problems)) return undefined;
  const side = blockDiagonalSide(config.blockDiagonal, entry.place.owner);
  const blocks = config.blockDiagonal?.blocks ?? 1;
  const down = side === "down" ? writeOut(lora_A, blocks, problems) : lora_A;
  const up = side === "up" ? writeOut(lora_B, blocks, problems) : lora_B;
  if (down === undefined || up === undefined) return undefined;
  return { kind: down.shape.length > 2 ? "conv" : "linear", down, up, magnitude, bias };
}

function takeEmbedding(entry: ModuleEntry, { config, problems }: ReadContext): Factors | undefined {
  const required = [
    "lora_embedding_A" as const,
    "lora_embedding_B" as const,
    ...(config.dora ? (["lora_magnitude_vector"] as const) : []),
  ];
  const taken = takeFactors(entry, required, ["lora_magnitude_vector"], problems);
  if (taken === undefined || !agreesOnDora(entry, config, problems)) return undefined;
  const { lora_embedding_A: down, lora_embedding_B: up, lora_magnitude_vector: magnitude } = taken;
  if (!hasDimensions([down, up], [2, 2], problems)) return undefined;
  return { kind: "embedding", down, up, magnitude, bias: undefined };
}

/** Magnitudes with `use_dora` false: one of the two is wrong, and the results differ. */
function agreesOnDora(entry: ModuleEntry, config: PeftConfig, problems: ReadContext["problems"]): boolean {
  if (config.dora || !entry.factors.has("lora_magnitude_vector")) return true;
  const hint = "if the adapter was trained with DoRA, set use_dora to true in adapter_config.json";
  problems.add(
    "ADAPTER_MISMATCH",
    entry.place.module,
    "the file has a DoRA magnitude, the settings say use_dora false",
    hint,
  );
  return false;
}

function writeOut(tensor: TensorData, blocks: number, problems: ReadContext["problems"]): TensorData | undefined {
  const [rows = 0] = tensor.shape;
  if (tensor.shape.length === 2 && rows % blocks === 0) return writeOutBlocks(tensor, blocks);
  problems.add("ADAPTER_MISMATCH", tensor.name, `expected a matrix of ${blocks} blocks of rows`);
  return undefined;
}

/** Experts in the stacked factors; what the base holds is compared later. */
function countExperts(module: string, { down }: Factors, rank: number, { problems }: ReadContext): number | undefined {
  const [rows = 0] = down.shape;
  if (rows % rank === 0) return rows / rank;
  hasRank(module, rank, rows, down.name, problems);
  return undefined;
}

function ranksFit(module: string, factors: Factors, rows: number, { config, problems }: ReadContext): boolean {
  const { down, up } = factors;
  const [downRank = 0] = down.shape;
  const [, upRank = 0, ...kernel] = up.shape;
  if (!hasRank(module, rows, downRank, down.name, problems)) return false;
  if (factors.kind === "conv" && upRank < rows && rows % upRank === 0) {
    throw unsupported(`a convolution with groups (${rows / upRank}) cannot be merged, PEFT refuses it too`, {
      file: config.file,
      subject: module,
    });
  }
  if (up.shape.length !== down.shape.length || kernel.some((size) => size !== 1)) {
    problems.add("ADAPTER_MISMATCH", up.name, `expected ${down.shape.length} dimensions and kernels of 1`);
    return false;
  }
  return hasRank(module, rows, upRank, up.name, problems);
}

/** PEFT changes the weights of linear layers only; embeddings start plain. */
function residualOf(
  config: PeftConfig,
  kind: LayerKind,
  parameter: string | undefined,
  module: string,
): AdapterModule["residual"] {
  const { initialisation } = config;
  if (initialisation === "plain" || initialisation === "gaussian" || kind === "embedding") return undefined;
  if (kind === "linear" && parameter === undefined) return initialisation;
  throw unsupported(`initialisation ${initialisation} of layers other than linear ones is not supported`, {
    file: config.file,
    subject: module,
  });
}
