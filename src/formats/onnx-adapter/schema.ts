/** Fields of the tables in an .onnx_adapter file by index: adapter_schema.fbs of ONNX Runtime 1.20 to 1.30. */

export const IDENTIFIER = "TORT";

/** The only one there is. */
export const FORMAT_VERSION = 1;

export const ADAPTER_FIELDS = { formatVersion: 0, adapterVersion: 1, modelVersion: 2, parameters: 3 } as const;

export const PARAMETER_FIELDS = { name: 0, dims: 1, dataType: 2, rawData: 3 } as const;
