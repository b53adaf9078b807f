/**
 * `GraphProto` and `NodeProto` → names, connections, constants and subgraphs, with the place of each message.
 *
 * Attribute values, types and doc strings are stepped over. Subgraphs and tensors inside attributes are walked, so that
 * every tensor of the file is checked; nesting is bounded by the reader.
 */

import { FormatError } from "../../core/errors.ts";
import type {
  OnnxAttribute,
  OnnxFunction,
  OnnxGraph,
  OnnxNode,
  OnnxSparseTensor,
  OnnxTensor,
  OnnxValue,
} from "./model.ts";
import { ATTRIBUTE, FUNCTION, GRAPH, NODE, OPSET, VALUE_INFO } from "./schema.ts";
import { hasEscapedBytes } from "./text.ts";
import { walkSparseTensor } from "./walk-sparse.ts";
import { type WalkContext, walkTensor } from "./walk-tensor.ts";
import type { Span } from "./wire.ts";

export function walkGraph(context: WalkContext, parts: readonly Span[], scope: string): OnnxGraph {
  const { wire } = context;
  let name = "";
  const nodes: OnnxNode[] = [];
  const initialisers = new Map<string, OnnxTensor>();
  const sparseInitialisers = new Map<string, OnnxSparseTensor>();
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  const valueInfo: OnnxValue[] = [];
  for (const field of wire.fields(parts)) {
    switch (field.tag) {
      case GRAPH.node:
        nodes.push(walkNode(context, wire.child(field), scope, nodes.length));
        break;
      case GRAPH.name:
        name = wire.text(field);
        break;
      case GRAPH.initialiser: {
        const tensor = walkTensor(context, [wire.child(field)]);
        addNamed(context, initialisers, tensor);
        break;
      }
      case GRAPH.sparseInitialiser:
        addNamed(context, sparseInitialisers, walkSparseTensor(context, [wire.child(field)]));
        break;
      case GRAPH.input:
        inputs.push(walkValue(context, wire.child(field)));
        break;
      case GRAPH.output:
        outputs.push(walkValue(context, wire.child(field)));
        break;
      case GRAPH.valueInfo:
        valueInfo.push(walkValue(context, wire.child(field)));
    }
  }
  return { parts, name, scope, nodes, initialisers, sparseInitialisers, inputs, outputs, valueInfo };
}

function addNamed<Tensor extends OnnxTensor | OnnxSparseTensor>(
  { wire, warnings }: WalkContext,
  tensors: Map<string, Tensor>,
  tensor: Tensor,
): void {
  const { name } = tensor.data;
  if (name === "") throw new FormatError("INVALID_MODEL", "an initialiser without a name", { file: wire.path });
  if (tensors.has(name)) {
    throw new FormatError("DUPLICATE_KEY", "two initialisers of one graph have this name", {
      file: wire.path,
      subject: name,
    });
  }
  if (hasEscapedBytes(name)) warnings.add("the name is not valid UTF-8", name);
  tensors.set(name, tensor);
}

export function walkFunction(context: WalkContext, span: Span, index: number): OnnxFunction {
  const { wire } = context;
  let name = "";
  let domain = "";
  let overload = "";
  const inputs: string[] = [];
  const outputs: string[] = [];
  const nodes: OnnxNode[] = [];
  const defaults: OnnxAttribute[] = [];
  const opsetImports = new Map<string, number>();
  const scope = `function#${index}`;
  for (const field of wire.fields([span])) {
    switch (field.tag) {
      case FUNCTION.name:
        name = wire.text(field);
        break;
      case FUNCTION.domain:
        domain = normaliseDomain(wire.text(field));
        break;
      case FUNCTION.overload:
        overload = wire.text(field);
        break;
      case FUNCTION.input:
        inputs.push(wire.text(field));
        break;
      case FUNCTION.output:
        outputs.push(wire.text(field));
        break;
      case FUNCTION.node:
        nodes.push(walkNode(context, wire.child(field), scope, nodes.length));
        break;
      case FUNCTION.opsetImport:
        addOpset(context, opsetImports, wire.child(field));
        break;
      case FUNCTION.attributeProto:
        defaults.push(walkAttribute(context, wire.child(field), `${scope}.default`, ""));
    }
  }
  return { name, domain, overload, scope, inputs, outputs, nodes, defaults, opsetImports };
}

/** Reads an `OperatorSetIdProto`. @throws {FormatError} for a domain that is imported twice or a version below 1 */
export function addOpset({ wire }: WalkContext, imports: Map<string, number>, span: Span): void {
  let domain = "";
  let version = 0;
  for (const field of wire.fields([span])) {
    if (field.tag === OPSET.domain) domain = normaliseDomain(wire.text(field));
    else if (field.tag === OPSET.version) version = wire.number(field);
  }
  const details = { file: wire.path, subject: domain };
  if (imports.has(domain)) throw new FormatError("DUPLICATE_KEY", "an operator set is imported twice", details);
  if (version < 1) {
    throw new FormatError("INVALID_MODEL", `expected an operator set version above 0, got ${version}`, details);
  }
  imports.set(domain, version);
}

function walkNode(context: WalkContext, span: Span, scope: string, index: number): OnnxNode {
  const { wire } = context;
  let name = "";
  let opType = "";
  let domain = "";
  let overload = "";
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributeSpans: Span[] = [];
  for (const field of wire.fields([span])) {
    switch (field.tag) {
      case NODE.input:
        inputs.push(wire.text(field));
        break;
      case NODE.output:
        outputs.push(wire.text(field));
        break;
      case NODE.name:
        name = wire.text(field);
        break;
      case NODE.opType:
        opType = wire.text(field);
        break;
      case NODE.domain:
        domain = normaliseDomain(wire.text(field));
        break;
      case NODE.overload:
        overload = wire.text(field);
        break;
      case NODE.attribute:
        attributeSpans.push(wire.child(field));
    }
  }
  if (opType === "") {
    throw new FormatError("INVALID_MODEL", "a node without an operator", { file: wire.path, subject: name });
  }
  const place = `${scope === "" ? "" : `${scope}/`}${opType}#${index}`;
  const attributes = attributeSpans.map((attribute) => walkAttribute(context, attribute, place, name));
  return { span, name, opType, domain, overload, inputs, outputs, attributes };
}

function walkAttribute(context: WalkContext, span: Span, place: string, node: string): OnnxAttribute {
  const { wire } = context;
  let name = "";
  const graphParts: Span[] = [];
  const tensorParts: Span[] = [];
  const sparseParts: Span[] = [];
  const graphSpans: Span[] = [];
  const tensorSpans: Span[] = [];
  const sparseSpans: Span[] = [];
  const targets: ReadonlyMap<number, Span[]> = new Map([
    [ATTRIBUTE.graph, graphParts],
    [ATTRIBUTE.tensor, tensorParts],
    [ATTRIBUTE.sparseTensor, sparseParts],
    [ATTRIBUTE.graphs, graphSpans],
    [ATTRIBUTE.tensors, tensorSpans],
    [ATTRIBUTE.sparseTensors, sparseSpans],
  ]);
  for (const field of wire.fields([span])) {
    if (field.tag === ATTRIBUTE.name) name = wire.text(field);
    else targets.get(field.tag)?.push(wire.child(field));
  }
  // The parts of a field that is not repeated are one message; each of a repeated field is its own.
  const messages = (parts: Span[], spans: Span[]) => [
    ...(parts.length > 0 ? [parts] : []),
    ...spans.map((one) => [one]),
  ];
  const graphs = messages(graphParts, graphSpans).map((parts, index) =>
    walkGraph(context, parts, `${place}.${name}${graphSpans.length > 0 ? `[${index}]` : ""}`),
  );
  const tensorName = node === "" ? `${place}.${name}` : `${node}.${name}`;
  return {
    span,
    name,
    graphs,
    tensors: messages(tensorParts, tensorSpans).map((parts) => walkTensor(context, parts, tensorName)),
    sparseTensors: messages(sparseParts, sparseSpans).map((parts) => walkSparseTensor(context, parts, tensorName)),
  };
}

function walkValue({ wire }: WalkContext, span: Span): OnnxValue {
  let name = "";
  for (const field of wire.fields([span])) if (field.tag === VALUE_INFO.name) name = wire.text(field);
  return { span, name };
}

/** ONNX's own operator set has two spellings. */
function normaliseDomain(domain: string): string {
  return domain === "ai.onnx" ? "" : domain;
}
