/**
 * Rules on names that an edit relies on: every value of a graph has one definition, no function calls itself.
 *
 * onnx docs/IR.md: single static assignment in each graph, functions without recursion, imported operator sets (a warning).
 * The order of nodes is not checked here, since nothing in a file depends on it; `toGraph` does.
 */

import { FormatError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { OnnxFunction, OnnxGraph, OnnxModel, OnnxNode } from "./model.ts";
import type { Warnings } from "./warnings.ts";

type Checked = Pick<OnnxModel, "path" | "irVersion" | "opsetImports" | "graph" | "functions">;

/** @throws {FormatError} INVALID_MODEL */
export function checkModel({ path, irVersion, opsetImports, graph, functions }: Checked, warnings: Warnings): void {
  checkGraph(graph, path);
  // Before IR 3 there was one operator set and nothing to import.
  if (irVersion >= 3) checkDomains(graph.nodes, opsetImports, warnings);
  for (const { name, nodes, inputs, opsetImports: own } of functions) {
    checkDefinitions(nodes, new Set(inputs), path);
    if (own.size === 0) {
      throw new FormatError("INVALID_MODEL", "a function that imports no operator set", { file: path, subject: name });
    }
    checkDomains(nodes, own, warnings);
  }
  checkCalls(functions, path);
}

function checkGraph(graph: OnnxGraph, file: string): void {
  for (const name of graph.sparseInitialisers.keys()) {
    if (graph.initialisers.has(name)) throw defined(name, file);
  }
  const inputs = new Set<string>();
  for (const { name } of graph.inputs) {
    if (inputs.has(name)) throw defined(name, file);
    inputs.add(name);
  }
  const names = new Set([...graph.initialisers.keys(), ...graph.sparseInitialisers.keys(), ...inputs]);
  checkDefinitions(graph.nodes, names, file);
}

function checkDefinitions(nodes: readonly OnnxNode[], names: Set<string>, file: string): void {
  for (const node of nodes) {
    for (const output of node.outputs) {
      if (output === "") continue;
      if (names.has(output)) throw defined(output, file);
      names.add(output);
    }
    for (const { graphs } of node.attributes) for (const graph of graphs) checkGraph(graph, file);
  }
}

function defined(subject: string, file: string): FormatError {
  return new FormatError("INVALID_MODEL", "the value is defined twice in one graph", { file, subject });
}

/** ONNX Runtime imports its own domains unasked, and tools rely on it. */
function checkDomains(nodes: readonly OnnxNode[], imports: ReadonlyMap<string, number>, warnings: Warnings): void {
  for (const { domain, opType, attributes } of nodes) {
    if (!imports.has(domain)) warnings.add(`the model does not import the operator's domain ${quote(domain)}`, opType);
    for (const { graphs } of attributes) for (const graph of graphs) checkDomains(graph.nodes, imports, warnings);
  }
}

/** No function may call itself, directly or through others. Kahn's order, so that long chains need no stack. */
function checkCalls(functions: readonly OnnxFunction[], file: string): void {
  const keyOf = (domain: string, name: string, overload: string) => JSON.stringify([domain, name, overload]);
  const byKey = new Map<string, OnnxFunction>();
  for (const one of functions) {
    const key = keyOf(one.domain, one.name, one.overload);
    if (byKey.has(key))
      throw new FormatError("DUPLICATE_KEY", "a function is defined twice", { file, subject: one.name });
    byKey.set(key, one);
  }
  const callees = new Map<string, Set<string>>();
  const callers = new Map<string, number>([...byKey.keys()].map((key) => [key, 0]));
  for (const [key, { nodes }] of byKey) {
    const called = new Set<string>();
    collectCalls(nodes, ({ domain, opType, overload }) => called.add(keyOf(domain, opType, overload)));
    const known = new Set([...called].filter((callee) => byKey.has(callee)));
    callees.set(key, known);
    for (const callee of known) callers.set(callee, (callers.get(callee) ?? 0) + 1);
  }
  const free = [...callers].filter(([, count]) => count === 0).map(([key]) => key);
  for (const key of free) {
    callers.delete(key);
    for (const callee of callees.get(key) ?? []) {
      const count = (callers.get(callee) ?? 0) - 1;
      callers.set(callee, count);
      if (count === 0) free.push(callee);
    }
  }
  const [recursive] = callers.keys();
  if (recursive === undefined) return;
  const subject = byKey.get(recursive)?.name ?? "";
  throw new FormatError("INVALID_MODEL", "a function that calls itself", { file, subject });
}

function collectCalls(nodes: readonly OnnxNode[], visit: (node: OnnxNode) => void): void {
  for (const node of nodes) {
    visit(node);
    for (const { graphs } of node.attributes) for (const graph of graphs) collectCalls(graph.nodes, visit);
  }
}
