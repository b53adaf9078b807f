/**
 * Whole tensors in an adapter (modules_to_save, trained biases, resized embeddings) → replacements.
 *
 * A head that the base lacks (a classifier trained on a language model) is added under the adapter's own name.
 */

import { isFloatDtype } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Override } from "../adapter.ts";
import type { TensorEdit } from "../edit.ts";
import { findTarget, notInBase, type ResolveContext } from "./context.ts";
import { graphParameter } from "./graph-layer.ts";
import { storageView } from "./placement.ts";
import { checkReplacement, replaceWith } from "./replacement.ts";
import { problem } from "./report.ts";

export function overrideEdit({ name, value }: Override, context: ResolveContext): TensorEdit {
  if (!isFloatDtype(value.dtype)) {
    throw new UnsupportedError("UNSUPPORTED_DTYPE", `no arithmetic is defined for ${value.dtype}`, {
      file: context.adapter.path,
      subject: value.name,
    });
  }
  const tensor = findTarget(name, context) ?? headBias(name, context);
  if (tensor !== undefined) {
    refuseShiftedNorm(tensor, context);
    checkReplacement(tensor, value, context);
    return { tensor: tensor.name, module: name, bothEnds: false, ...replaceWith(tensor, value, context) };
  }
  if (!isNewHead(name, context)) throw notInBase(name, context);
  if (context.weight !== 1) throw problem(`is a new tensor, which only weight 1 can mean, got ${context.weight}`);
  context.report.warnings.push(`${quote(name)}: the base has no such tensor, it is added; config.json stays as it is`);
  return { tensor: name, module: name, replacement: value, view: storageView(value), steps: [], bothEnds: false };
}

/** The bias of BERT's head has two names, `cls.predictions.bias` and `cls.predictions.decoder.bias`; graphs hold one of them. */
function headBias(name: string, context: ResolveContext): TensorData | undefined {
  if (!name.endsWith(".bias")) return undefined;
  const stem = name.slice(0, -".bias".length);
  const other = stem.endsWith(".decoder") ? stem.slice(0, -".decoder".length) : `${stem}.decoder`;
  const tensor = findTarget(`${other}.bias`, context);
  return tensor !== undefined && context.architecture.ends.outputBiases.includes(tensor.name) ? tensor : undefined;
}

/** ONNX Runtime GenAI's builder stores the norms of Gemma with the 1 that the model adds to them. */
function refuseShiftedNorm(tensor: TensorData, context: ResolveContext): void {
  const isGemma = [...context.architecture.types].some((type) => type.startsWith("gemma"));
  const uses = graphParameter(tensor, context)?.uses ?? [];
  if (!isGemma || !uses.some(({ node }) => node.opType.endsWith("SimplifiedLayerNormalization"))) return;
  throw problem(`the graph may hold ${quote(tensor.name)} with 1 added to it, so the adapter's own is no replacement`);
}

/** Not inside a layer, and nothing else of its outermost module is in the base: `score.weight`, `classifier.dense.bias`. */
function isNewHead(name: string, { model }: ResolveContext): boolean {
  // No node would compute with it.
  if (model.graph !== undefined) return false;
  const parts = name.split(".");
  const [head = ""] = parts;
  if (parts.length < 2 || parts.length > 4 || parts.some((part) => /^\d+$/.test(part) && part !== parts[1]))
    return false;
  for (const tensor of model.store.tensors.keys()) if (tensor.startsWith(`${head}.`)) return false;
  return !WRAPPERS_OF_MODELS.has(head);
}

/** A path that starts so belongs to the body of a model: missing there, it is from another architecture. */
const WRAPPERS_OF_MODELS: ReadonlySet<string> = new Set([
  "model",
  "base_model",
  "transformer",
  "language_model",
  "encoder",
  "decoder",
  "bert",
  "roberta",
  "gpt_neox",
]);
