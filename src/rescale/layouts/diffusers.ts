/**
 * A LoRA file of diffusers: the settings of each part of the pipeline stand in the metadata, with PEFT's conventions; a
 * file without them has alpha tensors, as kohya's.
 */

import { dottedPart } from "../../adapters/architecture/pipeline/parts.ts";
import { METADATA_KEY, readMetadata } from "../../adapters/layouts/diffusers/metadata.ts";
import { writeScales } from "../../adapters/layouts/peft/write-scales.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { safetensorsFrame } from "../../formats/safetensors/writer.ts";
import { changedTensors } from "../changed-tensors.ts";
import { type ModulePlan, planPeftScales, rewrites } from "../plan.ts";
import { rescaleKohya } from "./kohya.ts";
import { patternNotes, scaleSettings } from "./peft.ts";
import type { Rescaler } from "./rescaler.ts";

export const rescaleDiffusers: Rescaler = (source, options) => {
  const { adapter, store } = source;
  const configs = readMetadata(store);
  let text = store.metadata.get(METADATA_KEY);
  if (text === undefined || configs.size === 0) return rescaleKohya(source, options);
  const before = text;
  const planned = new Map<string, ModulePlan>();
  const notes = new Set<string>();
  for (const [component, config] of configs) {
    const own = adapter.modules.filter(({ name }) => dottedPart(name)?.part.component === component);
    // The patterns of a part see paths inside of it.
    const modules = own.map((module) => ({ ...module, name: module.name.slice(component.length + 1) }));
    const settings = scaleSettings(config);
    const plan = planPeftScales({ modules, settings, file: store.path, hasBlocks: false }, options);
    text = writeScales(text, settings, plan.settings, `${component}.`);
    for (const note of patternNotes(plan.settings)) notes.add(note);
    for (const [index, module] of own.entries()) {
      const ownPlan = plan.modules[index];
      if (ownPlan !== undefined) planned.set(module.name, { ...ownPlan, module });
    }
  }
  const modules = adapter.modules.map((module) => planned.get(module.name) ?? outsideSettings(module.name, store.path));
  const metadata = new Map(store.metadata).set(METADATA_KEY, text);
  return {
    from: adapter.convention,
    modules,
    rewrites: text !== before || rewrites(modules),
    output: {
      weightsName: undefined,
      tensors: changedTensors(store.tensors.values(), modules, "rank-major"),
      frame: (entries) => safetensorsFrame(entries, metadata),
      metadata,
      texts: new Map(),
    },
    notes: [...notes],
  };
};

function outsideSettings(subject: string, file: string): never {
  const problem = `is of a part of the pipeline that ${METADATA_KEY} says nothing about`;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, subject });
}
