/**
 * An adapter → pytorch_lora_weights.safetensors as diffusers ≥ 0.34 saves and loads it: PEFT's names after the part of the
 * pipeline, and the settings of each part in the metadata as `lora_adapter_metadata`.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonValue } from "../../../core/json.ts";
import { formatJson } from "../../../core/json-text.ts";
import { compareCodePoints } from "../../../core/text.ts";
import { canonicalOrder, safetensorsFrame } from "../../../formats/safetensors/writer.ts";
import type { AdapterModule } from "../../adapter.ts";
import type { LayoutWriter } from "../layout-writer.ts";
import { assertUniform } from "../peft/uniform.ts";
import { writePeftModule } from "../peft/written-module.ts";
import { loraSettings } from "../peft/written-settings.ts";
import { placeModules } from "../pipeline-part.ts";
import { expressibleModules } from "../written-modules.ts";
import { METADATA_KEY } from "./metadata.ts";

const TARGET = "diffusers";

export const diffusersWriter: LayoutWriter = (adapter, context) => {
  const modules = expressibleModules(
    adapter,
    {
      target: TARGET,
      deltas: ["lora"],
      kinds: ["linear", "conv"],
      magnitudes: { linear: ["outputs"], conv: ["outputs"] },
      bias: true,
    },
    context,
  );
  const parts = new Map<string, AdapterModule[]>();
  for (const { module, component, path } of placeModules({ ...adapter, modules })) {
    if (component === undefined) {
      const problem = "is of no part of a pipeline (unet, transformer, text_encoder), expected the names of one";
      throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: adapter.path, subject: module.name });
    }
    parts.set(component, [...(parts.get(component) ?? []), { ...module, name: path }]);
  }
  const { convention } = adapter;
  const settings: [string, JsonValue][] = [];
  const tensors = [...parts].flatMap(([component, own]) => {
    assertUniform(own);
    const written = own.map((module) => writePeftModule(module, module.name, convention, component));
    const values = loraSettings({ modules: own, convention }, written, new Map());
    for (const [key, value] of values) settings.push([`${component}.${key}`, value]);
    return written.flatMap((module) => module.tensors);
  });
  const sorted = new Map(settings.sort(([a], [b]) => compareCodePoints(a, b)));
  const metadata = new Map([
    ["format", "pt"],
    [METADATA_KEY, formatJson(sorted)],
  ]);
  return {
    weightsName: undefined,
    tensors: canonicalOrder(tensors),
    frame: (entries) => safetensorsFrame(entries, metadata),
    metadata,
    texts: new Map(),
    notes: ownScales(modules) ? [`tools that do not read ${METADATA_KEY} take a scale of 1`] : [],
  };
};

function ownScales(modules: readonly AdapterModule[]): boolean {
  return modules.some(({ scale }) => scale !== 1);
}
