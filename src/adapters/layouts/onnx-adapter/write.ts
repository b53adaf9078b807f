/**
 * An adapter → an .onnx_adapter file, whose parameters take the place of graph inputs of the same names in ONNX Runtime.
 *
 * `<path>.lora_A.weight` [in, rank] and `<path>.lora_B.weight` [rank, out], as Olive names the inputs; the graph knows no
 * scale, so it is folded into `lora_B`. All parameters have one dtype, as inputs of a graph do.
 */

import { onnxAdapterFrame } from "../../../formats/onnx-adapter/writer.ts";
import type { AdapterModule } from "../../adapter.ts";
import { transpose } from "../../matrix.ts";
import { loraFactors, upBlocks } from "../../output/lora-factors.ts";
import { blockOf, inF32, type OutputTensor, stacked, tensorOfView } from "../../output/output-tensor.ts";
import { foldNotes } from "../fold-notes.ts";
import type { LayoutWriter } from "../layout-writer.ts";
import { languageModules } from "../pipeline-part.ts";
import { expressibleModules } from "../written-modules.ts";

const TARGET = "an .onnx_adapter";
/** Of the maker's own counting. */
const METADATA: ReadonlyMap<string, string> = new Map([
  ["adapter_version", "1"],
  ["model_version", "1"],
]);

export const onnxAdapterWriter: LayoutWriter = (adapter, context) => {
  const modules = expressibleModules(
    { ...adapter, modules: languageModules(adapter, TARGET) },
    { target: TARGET, deltas: ["lora"], kinds: ["linear"], magnitudes: {}, bias: false },
    context,
  );
  const tensors = modules.flatMap(factorTensors);
  const dtypes = new Set(tensors.map(({ dtype }) => dtype));
  const stored = new Set(modules.flatMap(({ delta }) => (delta.kind === "lora" ? [delta.down.dtype] : [])));
  const widened = dtypes.size > 1;
  return {
    weightsName: undefined,
    tensors: widened ? tensors.map(inF32) : tensors,
    frame: (entries) => onnxAdapterFrame(entries),
    metadata: METADATA,
    texts: new Map(),
    notes: [
      ...foldNotes(
        modules.map(({ scale }) => scale),
        "lora_B: a graph knows no scale",
      ),
      ...(widened ? [`all factors are f32, which holds ${[...stored].join(", ")} and the folded scales`] : []),
    ],
  };
};

function factorTensors(module: AdapterModule): OutputTensor[] {
  const { name, scale } = module;
  const factors = loraFactors(module, TARGET);
  const { down, up, computed } = factors;
  const a = tensorOfView(`${name}.lora_A.weight`, transpose(down));
  const turned = upBlocks(factors, scale).map((block) =>
    blockOf(transpose(block.view), { factor: block.factor, rowStart: block.columnStart }),
  );
  return [computed ? inF32(a) : a, stacked(`${name}.lora_B.weight`, [up.columns, up.rows], up.rows, turned)];
}
