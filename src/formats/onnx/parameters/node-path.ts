/**
 * Nodes → the module that they were traced from, as PyTorch's exporters write it down.
 *
 * TorchScript and the model builder put it into the name of the node (`/model/layers.0/self_attn/q_proj/MatMul`), the newer
 * exporter into the node's metadata: `pkg.torch.onnx.name_scopes`, a Python list that ends in the call's own name, and
 * `pkg.torch.onnx.fx_node`, whose arguments `%p_<path>_<parameter>` are the parameters with `_` for the dots.
 */

import type { OnnxNode } from "../model.ts";
import { readNodeMetadata } from "../read-attribute.ts";
import type { WireReader } from "../wire-reader.ts";

export interface TracedFrom {
  /** With dots; `""` for the outermost module. */
  readonly module: string;
  /** Parameters of this module that the call reads, where the node says so. */
  readonly parameters: readonly string[];
  /** The call is a batch norm, whatever the node is now. */
  readonly isBatchNorm: boolean;
}

const NAME_SCOPES = "pkg.torch.onnx.name_scopes";
const FX_NODE = "pkg.torch.onnx.fx_node";

/** Text of a Python list; names of modules hold no quotes. */
const LISTED = /'([^']*)'|"([^"]*)"/g;
const FX_PARAMETER = /%p_(\w+)/g;
const FX_BATCH_NORM = /target=torch\.ops\.aten\.\w*batch_norm/;

export function tracedFrom(wire: WireReader, node: OnnxNode): TracedFrom | undefined {
  const metadata = readNodeMetadata(wire, node);
  const scopes = metadata.get(NAME_SCOPES);
  if (scopes === undefined) return fromName(node.name);
  const listed = [...scopes.matchAll(LISTED)].map(([, single, double]) => single ?? double ?? "");
  const module = listed.at(-2);
  if (module === undefined) return undefined;
  const prefix = module === "" ? "" : `${module.replaceAll(".", "_")}_`;
  const call = metadata.get(FX_NODE) ?? "";
  const read = [...call.matchAll(FX_PARAMETER)].map(([, flat = ""]) => flat);
  const parameters = read.flatMap((flat) => (flat.startsWith(prefix) ? [flat.slice(prefix.length)] : []));
  return { module, parameters, isBatchNorm: FX_BATCH_NORM.test(call) };
}

/** What ONNX Runtime's optimiser puts behind the name of a node that another one went into: `/fc/MatMul/MatMulAddFusion`. */
const FUSION_SUFFIX = /(?:\/\w+Fusion)+\/?$/;

function fromName(name: string): TracedFrom | undefined {
  if (!name.startsWith("/")) return undefined;
  const parts: string[] = [];
  for (const part of name.replace(FUSION_SUFFIX, "").slice(1).split("/").slice(0, -1)) {
    // The children of a Sequential repeat its name: /body/body.0/Conv.
    if (/^\.\d+$/.test(part.slice(parts.at(-1)?.length)) && part.startsWith(`${parts.at(-1)}.`)) parts.pop();
    parts.push(part);
  }
  return { module: parts.join("."), parameters: [], isBatchNorm: false };
}
