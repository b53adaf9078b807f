/**
 * Every cap on what a file may make the program do, with the reason and the largest real value known.
 */

/** safetensors 0.8 `MAX_HEADER_SIZE`: the reference refuses more. Real: 60 MB (500,000 tensors). */
export const MAX_SAFETENSORS_HEADER_BYTES = 100_000_000;

/** Dimensions of a tensor. NumPy stops at 64; real weights have at most 5. */
export const MAX_TENSOR_RANK = 64;

/** Nesting of JSON, as serde_json's default (CWE-674). Real: about 6. */
export const MAX_JSON_DEPTH = 128;

/** config.json, adapter_config.json and their like (CWE-770). Real: below 1 MB. */
export const MAX_CONFIG_BYTES = 10_000_000;

/** A shard index. Real: 60 MB for 500,000 tensors. */
export const MAX_INDEX_BYTES = 200_000_000;

/** Shards of one model. Real: about 1,000. */
export const MAX_SHARDS = 10_000;

/** One read or write call: Node aborts the process at 2^31 bytes, and this bounds the memory of a copy. */
export const MAX_IO_BYTES = 64 * 1024 * 1024;

/** Layers of a model, each some 3 KB in memory. Real: 126 (Llama 3.1 405B). */
export const MAX_MODEL_LAYERS = 10_000;

/** Small files copied beside the weights (tokenizers and their like). Real: 40 MB. */
export const MAX_SMALL_FILE_BYTES = 512 * 1024 * 1024;

/** A pattern of an adapter's config. Real: below 500 characters. */
export const MAX_PATTERN_LENGTH = 4_096;

/** Nesting of protobuf messages, as in Google's parsers (CWE-674): 33 subgraphs of ONNX. Real: about 20. */
export const MAX_PROTOBUF_DEPTH = 100;

/** Messages of an ONNX file (nodes, attributes, tensors, types …), each some 300 bytes in memory. Real: 400,000. */
export const MAX_ONNX_MESSAGES = 3_000_000;

/** Nodes of an ONNX model after each call of a function of its own became the function's body. Real: 20,000. */
export const MAX_ONNX_INLINED_NODES = 200_000;

/** Functions of an ONNX model that call one another. Real: 6. */
export const MAX_ONNX_CALL_DEPTH = 64;

/** All texts of an ONNX file: names, metadata, attributes. Real: 10 MB (a vocabulary in an attribute). */
export const MAX_ONNX_TEXT_BYTES = 256 * 1024 * 1024;

/** Google's parsers, and so every reader of ONNX, refuse a message of 2 GiB. */
export const MAX_PROTOBUF_BYTES = 2 ** 31 - 1;

/** Header of a GGUF file. Real: 20 MB (a vocabulary of 250,000 with merges). */
export const MAX_GGUF_HEADER_BYTES = 256 * 1024 * 1024;

/** One text of a GGUF file. Real: 200 KB (a chat template). */
export const MAX_GGUF_STRING_BYTES = 16 * 1024 * 1024;

/** `general.alignment` of a GGUF file: what is above it makes padding that overflows in other readers. Real: 32. */
export const MAX_GGUF_ALIGNMENT = 1024 * 1024;

/** tokenizer.json. Real: 40 MB (a vocabulary of 260,000 with its merges). */
export const MAX_TOKENIZER_BYTES = 256 * 1024 * 1024;

/** One row of training data. Real: below 10 MB (a book). */
export const MAX_ROW_BYTES = 64 * 1024 * 1024;
