/**
 * Factors of mlx-lm → modules. Linear: lora_a [in, rank], lora_b [rank, out]; embedding: lora_a [rows, rank], lora_b
 * [rank, dim]; experts (SwitchLinear): lora_a [E, rank, in], lora_b [E, out, rank], one module for each expert. DoRA has
 * `m`, the norms of the rows of the stored weight: one for each output, and one for each token of an embedding.
 */

import { formatShape } from "../../../core/shape.ts";
import { lastPart } from "../../../core/text.ts";
import { sliceTensor, type TensorData } from "../../../formats/tensor-store.ts";
import type { AdapterModule } from "../../adapter.ts";
import { hasDimensions, hasLength, hasShape, requireFloat } from "../peft/factor-shapes.ts";
import type { Problems } from "../peft/problems.ts";
import type { MlxSettings } from "./settings.ts";

export const MLX_FACTORS = ["lora_a", "lora_b", "m"] as const;
export type MlxFactor = (typeof MLX_FACTORS)[number];

/** The modules of one entry of the file; none after a problem was added. */
export function readMlxModule(
  name: string,
  factors: ReadonlyMap<MlxFactor, TensorData>,
  settings: MlxSettings,
  problems: Problems,
): readonly AdapterModule[] {
  const [down, up, magnitude] = MLX_FACTORS.map((factor) => factors.get(factor));
  if (down === undefined || up === undefined || (magnitude === undefined) !== (settings.type === "lora")) {
    const needed = settings.type === "dora" ? "lora_a, lora_b and m" : "lora_a and lora_b";
    const present = [...factors.keys()].join(", ");
    problems.add("ADAPTER_INCOMPLETE", name, `expected ${needed} (fine_tune_type ${settings.type}), got ${present}`);
    return [];
  }
  for (const tensor of factors.values()) requireFloat(tensor);
  const parts = { name, down, up, magnitude };
  return down.shape.length === 3 ? readExperts(parts, settings, problems) : readLayer(parts, settings, problems);
}

interface Parts {
  readonly name: string;
  readonly down: TensorData;
  readonly up: TensorData;
  readonly magnitude: TensorData | undefined;
}

function readLayer({ name, down, up, magnitude }: Parts, settings: MlxSettings, problems: Problems): AdapterModule[] {
  if (!hasDimensions([down, up], [2, 2], problems)) return [];
  const { rank, scale } = settings;
  const [inputs = 0] = down.shape;
  const [, outputs = 0] = up.shape;
  if (!hasShape(down, [inputs, rank], problems) || !hasShape(up, [rank, outputs], problems)) return [];
  const isEmbedding = isEmbeddingName(name);
  if (magnitude !== undefined && !hasLength(magnitude, isEmbedding ? inputs : outputs, problems)) return [];
  return [
    {
      name,
      kind: isEmbedding ? "embedding" : "linear",
      delta: { kind: "lora", down, up, transposed: "both" },
      rank,
      alpha: scale * rank,
      scale,
      ...(magnitude === undefined ? {} : { magnitude }),
      ...(magnitude !== undefined && isEmbedding ? { magnitudeAxis: "inputs" as const } : {}),
    },
  ];
}

function readExperts({ name, down, up, magnitude }: Parts, settings: MlxSettings, problems: Problems): AdapterModule[] {
  const { rank, scale } = settings;
  const [count = 0, , inputs = 0] = down.shape;
  const [, outputs = 0] = up.shape;
  if (!hasDimensions([down, up], [3, 3], problems)) return [];
  if (!hasShape(down, [count, rank, inputs], problems) || !hasShape(up, [count, outputs, rank], problems)) return [];
  const [, path, layer] = SWITCH.exec(name) ?? [];
  if (path === undefined || layer === undefined || magnitude !== undefined) {
    const expected = "expected plain LoRA of a layer in switch_mlp";
    problems.add("ADAPTER_MISMATCH", name, `stacked factors ${formatShape(down.shape)}, ${expected}`);
    return [];
  }
  const own = path.endsWith("block_sparse_moe") ? (MIXTRAL_NAMES.get(layer) ?? layer) : layer;
  return Array.from({ length: count }, (_, expert) => ({
    name: `${path}.experts.${expert}.${own}`,
    kind: "linear",
    delta: { kind: "lora", down: partOf(down, expert), up: partOf(up, expert) },
    rank,
    alpha: scale * rank,
    scale,
  }));
}

/** Element `index` of the first dimension, where it lies. */
function partOf(tensor: TensorData, index: number): TensorData {
  return { ...sliceTensor(tensor, index, 1), shape: tensor.shape.slice(1) };
}

const SWITCH = /^(.*)\.switch_mlp\.(\w+)$/;

/** The embeddings that mlx-lm's models have: nothing else tells their factors from those of a linear layer. */
const EMBEDDING_NAMES: ReadonlySet<string> = new Set([
  "embed_tokens",
  "wte",
  "embed_in",
  "tok_embeddings",
  "word_embeddings",
  "embeddings",
]);

/** Whether a module is read as an embedding. */
export function isEmbeddingName(name: string): boolean {
  return EMBEDDING_NAMES.has(lastPart(name));
}

/** How the same layers are called in the base. */
const MIXTRAL_NAMES: ReadonlyMap<string, string> = new Map([
  ["gate_proj", "w1"],
  ["down_proj", "w2"],
  ["up_proj", "w3"],
]);
