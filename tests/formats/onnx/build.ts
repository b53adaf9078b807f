/** Builds ONNX files field by field, right ones and wrong ones. Field numbers: onnx.proto of onnx 1.23. */

export type Bytes = Uint8Array;

/** A varint of any 64-bit value. */
export function varintBytes(value: number | bigint): Bytes {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  do {
    const more = rest > 127n;
    bytes.push(Number(rest & 127n) | (more ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

export function concat(...parts: readonly (Bytes | undefined)[]): Bytes {
  return Uint8Array.from(Buffer.concat(parts.filter((part) => part !== undefined)));
}

export function int(field: number, value: number | bigint): Bytes {
  return concat(varintBytes(field * 8), varintBytes(value));
}

/** A length-delimited field: text, bytes or a message. */
export function sub(field: number, ...content: readonly (Bytes | string)[]): Bytes {
  const bytes = concat(...content.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
  return concat(varintBytes(field * 8 + 2), varintBytes(bytes.length), bytes);
}

export function fixed32(field: number, value: number): Bytes {
  return concat(varintBytes(field * 8 + 5), bytesOf(Float32Array.of(value)));
}

export function bytesOf(values: NodeJS.TypedArray): Bytes {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

export function floats(...values: readonly number[]): Bytes {
  return bytesOf(Float32Array.from(values));
}

/** The parts of a `TensorProto`; `extra` comes behind them. */
export interface TensorParts {
  readonly name?: string | Bytes;
  readonly dims?: readonly (number | bigint)[];
  readonly type?: number | bigint;
  readonly raw?: Bytes;
  readonly external?: readonly (readonly [key: string, value: string])[];
  readonly extra?: readonly Bytes[];
}

export function tensorBytes({ name = "w", dims = [], type = 1, raw, external, extra = [] }: TensorParts): Bytes {
  return concat(
    ...dims.map((size) => int(1, size)),
    int(2, type),
    sub(8, name),
    raw === undefined ? undefined : sub(9, raw),
    ...(external ?? []).map(([key, value]) => sub(13, sub(1, key), sub(2, value))),
    external === undefined ? undefined : int(14, 1),
    ...extra,
  );
}

/** A `NodeProto` with finished attributes. */
export function nodeBytes(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...attributes: readonly Bytes[]
): Bytes {
  return concat(
    ...inputs.map((name) => sub(1, name)),
    ...outputs.map((name) => sub(2, name)),
    sub(4, opType),
    ...attributes.map((attribute) => sub(5, attribute)),
  );
}

export function intAttribute(name: string, value: number): Bytes {
  return concat(sub(1, name), int(3, value), int(20, 2));
}

export function intsAttribute(name: string, ...values: readonly number[]): Bytes {
  return concat(sub(1, name), ...values.map((value) => int(8, value)), int(20, 7));
}

export function tensorAttribute(name: string, tensor: Bytes): Bytes {
  return concat(sub(1, name), sub(5, tensor), int(20, 4));
}

export function graphAttribute(name: string, graph: Bytes): Bytes {
  return concat(sub(1, name), sub(6, graph), int(20, 5));
}

/** A `ValueInfoProto` of a tensor; a text is a symbolic size. */
export function valueBytes(name: string, type = 1, shape: readonly (number | string)[] = []): Bytes {
  const dimensions = shape.map((size) => sub(1, typeof size === "number" ? int(1, size) : sub(2, size)));
  return concat(sub(1, name), sub(2, sub(1, int(1, type), sub(2, ...dimensions))));
}

export interface GraphParts {
  readonly nodes?: readonly Bytes[];
  readonly tensors?: readonly Bytes[];
  readonly inputs?: readonly Bytes[];
  readonly outputs?: readonly Bytes[];
  readonly extra?: readonly Bytes[];
}

export function graphBytes({ nodes = [], tensors = [], inputs = [], outputs = [], extra = [] }: GraphParts): Bytes {
  return concat(
    ...nodes.map((node) => sub(1, node)),
    sub(2, "g"),
    ...tensors.map((tensor) => sub(5, tensor)),
    ...inputs.map((input) => sub(11, input)),
    ...outputs.map((output) => sub(12, output)),
    ...extra,
  );
}

export interface ModelParts extends GraphParts {
  readonly irVersion?: number | bigint;
  readonly opsets?: readonly (readonly [domain: string, version: number | bigint])[];
  /** Fields of the model behind the graph. */
  readonly model?: readonly Bytes[];
}

export function modelBytes({ irVersion = 10, opsets = [["", 20]], model = [], ...graph }: ModelParts = {}): Bytes {
  return concat(
    int(1, irVersion),
    sub(7, graphBytes(graph)),
    ...opsets.map(([domain, version]) => sub(8, sub(1, domain), int(2, version))),
    ...model,
  );
}

/** y = x·w with w [2, 3], and something unknown at every level. */
export function unknownFieldsModel(): Bytes {
  const unknown = [
    sub(4_000, "kept"),
    int(4_001, -1),
    fixed32(4_002, 1),
    concat(varintBytes(4_003 * 8 + 3), int(1, 5), varintBytes(4_003 * 8 + 4)),
  ];
  const w = tensorBytes({ dims: [2, 3], raw: floats(1, 2, 3, 4, 5, 6), extra: unknown });
  return modelBytes({
    nodes: [concat(nodeBytes("MatMul", ["x", "w"], ["y"]), ...unknown)],
    tensors: [w],
    inputs: [concat(valueBytes("x", 1, ["batch", 2]), ...unknown)],
    outputs: [valueBytes("y", 1, ["batch", 3])],
    extra: unknown,
    model: [sub(14, sub(1, "author"), sub(2, "someone"), ...unknown), ...unknown],
  });
}
