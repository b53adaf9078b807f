/**
 * Adapted ends of a tied embedding, between layouts whose readers adapt both ends at once, by one module, and those that adapt
 * each end by its own.
 */

import { UnsupportedError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { Adapter, AdapterModule } from "../adapter.ts";
import { modelTypes } from "../architecture/model-types.ts";
import { saysTied } from "../architecture/tied-embedding.ts";
import { transpose } from "../matrix.ts";
import { loraFactors } from "../output/lora-factors.ts";
import { sameMatrix } from "../resolve/tensor-values.ts";
import type { WriteContext } from "./layout-writer.ts";

/**
 * The modules without the head, where the base is tied and the embedding says the same.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER where the ends were trained apart
 */
export function joinTiedEnds(
  adapter: Adapter,
  modules: readonly AdapterModule[],
  target: string,
  { baseConfig }: WriteContext,
): readonly AdapterModule[] {
  if (baseConfig === undefined || !saysTied(baseConfig)) return modules;
  const embedding = modules.find(({ kind }) => kind === "embedding");
  const head = modules.find(({ name }) => HEAD.test(name));
  if (embedding === undefined && head === undefined) return modules;
  if (embedding !== undefined && head !== undefined && saySame(embedding, head, target)) {
    return modules.filter((module) => module !== head);
  }
  if (embedding !== undefined && head === undefined && adapter.keepsTie) return modules;
  const trained = embedding === undefined ? "the head" : head === undefined ? "the input" : "each end for itself";
  throw new UnsupportedError(
    "UNSUPPORTED_ADAPTER",
    `the base ties both ends of its embedding, which ${target} adapts together, and the adapter was trained on ${trained}`,
    { file: adapter.path, subject: (embedding ?? head)?.name ?? "", hint: "merge it into its base instead" },
  );
}

/**
 * The modules with one for the head, where the base is tied and one module of the embedding stood for both ends (MLX): PEFT
 * adapts each end for itself.
 */
export function splitTiedEnds(
  { modules, keepsTie }: Adapter,
  { baseConfig }: WriteContext,
): { readonly modules: readonly AdapterModule[]; readonly notes: readonly string[] } {
  const embedding = modules.find(({ kind, delta }) => kind === "embedding" && isTurned(delta));
  const { delta } = embedding ?? {};
  if (!keepsTie || embedding === undefined || delta?.kind !== "lora" || modules.some(({ name }) => HEAD.test(name))) {
    return { modules, notes: [] };
  }
  if (baseConfig === undefined) {
    const note = `if the base ties its embedding, ${quote(embedding.name)} was adapted at both ends: pass --base, which tells`;
    return { modules, notes: [note] };
  }
  const name = modelTypes(baseConfig).has("gpt_neox") ? "embed_out" : "lm_head";
  // Stored [tokens, rank] and [rank, dim], the factors of the embedding are those of the head as they are.
  const head: AdapterModule = {
    ...embedding,
    name,
    kind: "linear",
    delta: { kind: "lora", down: delta.up, up: delta.down },
  };
  return {
    modules: [...modules, head],
    notes: [`${name} is adapted with ${quote(embedding.name)}, to which it is tied`],
  };
}

function isTurned(delta: AdapterModule["delta"]): boolean {
  return delta.kind === "lora" && delta.transposed === "both";
}

/** down of the head is up of the embedding turned, and the reverse. */
function saySame(embedding: AdapterModule, head: AdapterModule, target: string): boolean {
  if (embedding.scale !== head.scale || embedding.rank !== head.rank) return false;
  const [input, output] = [loraFactors(embedding, target), loraFactors(head, target)];
  return sameMatrix(transpose(input.up), output.down) && sameMatrix(transpose(input.down), output.up);
}

const HEAD = /(?:^|\.)(?:lm_head|embed_out|output|proj_out)$/;
