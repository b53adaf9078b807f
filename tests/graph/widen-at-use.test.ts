import { expect, test } from "vitest";
import { widenAtUse } from "../../src/graph/widen-at-use.ts";
import { f32InMemory, graph, node, value } from "../engine/graphs.ts";

const weight = f32InMemory("w", Float32Array.of(1, 2, 3, 4));
const before = graph(
  [
    node("Cast", ["w"], ["wide"]),
    node("Cast", ["x"], ["own"]),
    node("MatMul", ["own", "wide"], ["y"]),
    node("MatMul", ["y", "wide"], ["z"]),
    node("Add", ["own", "z"], ["out"]),
  ],
  [value("x", "f16", [2, 2])],
  [value("out", "f32", [2, 2])],
  [weight],
);

test("each node that reads a widened constant gets a Cast right before it; Casts of other values stay", () => {
  const { nodes } = widenAtUse(before);
  expect(nodes.map(({ opType, inputs, outputs }) => [opType, ...inputs, "→", ...outputs].join(" "))).toEqual([
    "Cast x → own",
    "Cast w → wide/0",
    "MatMul own wide/0 → y",
    "Cast w → wide/1",
    "MatMul y wide/1 → z",
    "Add own z → out",
  ]);
});

test("a widened constant that is an output stays", () => {
  const outputs = [value("wide", "f32", [4])];
  expect(widenAtUse({ ...before, outputs }).nodes).toEqual(before.nodes);
});
