/**
 * The factors of one module as llama.cpp's converter would have them.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import type { AdapterModule } from "../../adapter.ts";
import { type MatrixView, sliceRows, transpose } from "../../matrix.ts";
import { type LoraFactors, loraFactors, upBlocks } from "../../output/lora-factors.ts";
import { type Block, blockOf, inF32, type OutputTensor, stacked, tensorOfView } from "../../output/output-tensor.ts";
import { headCount } from "../../resolve/rotary-heads.ts";

export interface GgufPlace {
  /** Of the base's tensor, without `.weight`. */
  readonly name: string;
  /** Whose rows the converter reorders. */
  readonly heads: AdapterModule["interleavedHeads"];
  /** Multiplies `up`. */
  readonly factor: number;
  readonly config: JsonObject | undefined;
}

/** lora_a [rank, in] and lora_b [out, rank]; of embeddings lora_a [tokens, rank]. */
export function factorTensors(module: AdapterModule, { name, heads, factor, config }: GgufPlace): OutputTensor[] {
  const factors = loraFactors(module, "GGUF");
  const { down, up, inputShape, computed } = factors;
  if (inputShape.length > 1 && inputShape.slice(1).some((size) => size !== 1)) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", "GGUF has no place for convolutions", { subject: module.name });
  }
  const a = tensorOfView(`${name}.weight.lora_a`, module.kind === "embedding" ? transpose(down) : down);
  const blocks =
    heads === undefined ? upBlocks(factors, factor) : headBlocks(factors, factor, headCount(config, heads) ?? 0);
  const b = stacked(`${name}.weight.lora_b`, [up.rows, up.columns], up.columns, blocks);
  return [computed ? inF32(a) : a, b].map((tensor) => (RUNNABLE.has(tensor.dtype) ? tensor : inF32(tensor)));
}

const RUNNABLE: ReadonlySet<string> = new Set(["f32", "f16", "bf16"]);

/**
 * Row j of the first half of each head and row j of its second half become neighbours (`LlamaModel.permute` of llama.cpp's
 * converter), as llama.cpp turns neighbouring rows together.
 */
function headBlocks(factors: LoraFactors, factor: number, heads: number): Block[] {
  const size = factors.up.rows / heads;
  if (!Number.isInteger(size / 2) || size === 0) throw headError(factors.up, heads);
  return Array.from({ length: 2 * heads }, (_, index) => {
    const [head, half] = [Math.floor(index / 2), index % 2];
    const rows = sliceRows(factors.up, head * size + (half * size) / 2, size / 2);
    return upBlocks({ ...factors, up: rows }, factor).map((block) =>
      blockOf(block.view, {
        factor: block.factor,
        rowStart: head * size + half,
        rowStep: 2,
        columnStart: block.columnStart,
      }),
    );
  }).flat();
}

function headError({ rows, tensor }: MatrixView, heads: number): UnsupportedError {
  const expected = heads === 0 ? "the number of heads in the base's config.json" : `${heads} heads of an even size`;
  const problem = `its rows are ordered by heads, expected ${expected}, got ${rows} rows`;
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject: tensor.name });
}
