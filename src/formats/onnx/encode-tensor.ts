/**
 * Tensor → the fields of an ONNX `TensorProto`: its bytes as `raw_data`, or the place where they lie outside the model.
 *
 * External data: onnx docs/ExternalData.md (location, offset and length as decimal text). Refused: `string` tensors, which
 * have no bytes, and tensors of a file for which no place is given.
 */

import { UnsupportedError } from "../../core/errors.ts";
import type { TensorData } from "../tensor-store.ts";
import { DTYPE_ELEMENT_TYPES } from "./element-type.ts";
import { type Writer, writeBytes, writeInt64, writeMessage, writeText } from "./wire-writer.ts";

const TENSOR_FIELDS = { dims: 1, dataType: 2, name: 8, rawData: 9, externalData: 13, dataLocation: 14 } as const;
const ENTRY_FIELDS = { key: 1, value: 2 } as const;

/** `TensorProto.DataLocation`. */
const EXTERNAL = 1;

/** Where the bytes of a tensor lie, as the model names it. */
export interface ExternalLocation {
  /** Path relative to the model's folder, with `/`; or a name under which the engine is given the bytes. */
  readonly location: string;
  /** From the start of that file, in bytes. */
  readonly offset: number;
}

export type ExternalLocator = (tensor: TensorData) => ExternalLocation | undefined;

/**
 * Writes the fields of one `TensorProto`.
 *
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE for `string`, UNSUPPORTED_MODEL for a file's tensor without a place
 */
export function writeTensor(writer: Writer, name: string, tensor: TensorData, locate: ExternalLocator): void {
  if (tensor.dtype === "string") {
    throw new UnsupportedError("UNSUPPORTED_DTYPE", 'dtype "string" has no bytes to write', { subject: name });
  }
  for (const dimension of tensor.shape) writeInt64(writer, TENSOR_FIELDS.dims, dimension);
  writeInt64(writer, TENSOR_FIELDS.dataType, DTYPE_ELEMENT_TYPES[tensor.dtype]);
  writeText(writer, TENSOR_FIELDS.name, name);
  const external = locate(tensor);
  if (external !== undefined) {
    const entries = [
      ["location", external.location],
      ["offset", String(external.offset)],
      ["length", String(tensor.byteLength)],
    ] as const;
    for (const [key, value] of entries) {
      writeMessage(writer, TENSOR_FIELDS.externalData, () => {
        writeText(writer, ENTRY_FIELDS.key, key);
        writeText(writer, ENTRY_FIELDS.value, value);
      });
    }
    writeInt64(writer, TENSOR_FIELDS.dataLocation, EXTERNAL);
  } else if (tensor.source.kind === "memory" || tensor.byteLength === 0) {
    writeBytes(writer, TENSOR_FIELDS.rawData, tensor.source.kind === "memory" ? tensor.source.bytes : new Uint8Array());
  } else {
    throw new UnsupportedError("UNSUPPORTED_MODEL", "the tensor lies in a file, expected a place outside the model", {
      file: tensor.source.path,
      subject: name,
    });
  }
}
