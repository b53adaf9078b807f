/**
 * An adapter → one file as kohya's sd-scripts and LyCORIS write it: `<flat module name>.<factor>`, alpha as a tensor.
 *
 * The scale is alpha / rank whatever the convention was, so alpha is scale · rank, the nearest f32 of it.
 */

import { counted } from "../../../core/text.ts";
import { canonicalOrder, safetensorsFrame } from "../../../formats/safetensors/writer.ts";
import type { OutputTensor } from "../../output/output-tensor.ts";
import { foldNotes } from "../fold-notes.ts";
import type { LayoutWriter } from "../layout-writer.ts";
import { placeModules } from "../pipeline-part.ts";
import { expressibleModules } from "../written-modules.ts";
import { alphaTensor } from "./alpha.ts";
import { type FlatLayer, flatLayers } from "./flat-naming.ts";
import { writeAlgorithm } from "./written-algorithm.ts";
import { type WrittenLora, writeJoinedLora, writeLora } from "./written-lora.ts";

const METADATA: ReadonlyMap<string, string> = new Map([["format", "pt"]]);

export const kohyaWriter: LayoutWriter = (adapter, context) => {
  const modules = expressibleModules(
    adapter,
    {
      target: "kohya's layout",
      deltas: ["lora", "loha", "lokr", "ia3", "oft", "full"],
      kinds: ["linear", "conv"],
      magnitudes: { linear: ["outputs", "inputs"], conv: ["outputs", "inputs"] },
      bias: true,
    },
    context,
  );
  const placed = placeModules({ ...adapter, modules });
  // A bias has no factors to join and stands beside those of its layer.
  const biases = placed.filter(({ module }) => module.parameter === "bias");
  const weights = placed.filter(({ module }) => module.parameter !== "bias");
  const layers = [...flatLayers(weights, context.baseConfig), ...flatLayers(biases, context.baseConfig)];
  const written = layers.map(writeLayer);
  const tensors = written.flatMap(({ tensors: own, name, rank, alpha }) =>
    rank === 0 ? own : [...own, alphaTensor(`${name}.alpha`, alpha)],
  );
  return {
    weightsName: undefined,
    tensors: canonicalOrder(tensors),
    frame: (entries) => safetensorsFrame(entries, METADATA),
    metadata: METADATA,
    texts: new Map(),
    notes: [
      ...foldNotes(
        written.flatMap(({ factors }) => factors),
        "lora_up: joined layers and alphas have one scale",
      ),
      ...alphaNotes(written),
    ],
  };
};

interface WrittenLayer extends WrittenLora {
  readonly name: string;
  /** In f32. */
  readonly alpha: number;
  readonly tensors: readonly OutputTensor[];
}

function writeLayer(layer: FlatLayer): WrittenLayer {
  const { name, parts } = layer;
  const [part, ...others] = parts;
  const written =
    part === undefined || others.length > 0
      ? writeJoinedLora(layer)
      : part.module.delta.kind === "lora"
        ? writeLora(name, part.module)
        : writeAlgorithm(name, part.module);
  return { ...written, name, alpha: Math.fround(written.scale * written.rank) };
}

function alphaNotes(written: readonly WrittenLayer[]): string[] {
  const errors = written.map(({ alpha, rank, scale }) =>
    rank === 0 || alpha / rank === scale ? 0 : Math.abs(alpha / rank / scale - 1),
  );
  const inexact = errors.filter((error) => error > 0).length;
  if (inexact === 0) return [];
  const most = errors.reduce((a, b) => Math.max(a, b), 0).toPrecision(2);
  return [
    `not exact in f32: the alpha of ${counted(inexact, "layer")}; scales are off by at most ${most} of their size`,
  ];
}
