/**
 * An .onnx file → what is in it and where (`OnnxModel`), with its constants as a store; payloads stay on disk.
 *
 * ONNX IR 14 (onnx 1.23), https://github.com/onnx/onnx/blob/main/docs/IR.md . Refused: broken protobuf, files that are
 * something else, no graph, IR version or operator sets missing, what `check.ts` and the walkers refuse. Newer versions
 * are read with a warning: unknown fields stay in the file.
 */

import { FormatError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import { accessTo, type OpenFile, withFile } from "../byte-source.ts";
import { assertNotLookAlike, readStart } from "../detect.ts";
import type { FileIdentity, TensorStore } from "../tensor-store.ts";
import { checkModel } from "./check.ts";
import { collectConstants } from "./constants.ts";
import { ExternalFiles } from "./external-data.ts";
import { wireOf } from "./lazy.ts";
import type { OnnxFunction, OnnxModel } from "./model.ts";
import { MODEL, NEWEST_IR_VERSION, NEWEST_OPSET_VERSION } from "./schema.ts";
import { addOpset, walkFunction, walkGraph } from "./walk-graph.ts";
import { readEntry, type WalkContext } from "./walk-tensor.ts";
import { Warnings } from "./warnings.ts";
import type { Span } from "./wire.ts";

export interface OpenOnnxOptions {
  /** Data files with several names (hard links, as deduplicating stores make them) are allowed. Default false. */
  readonly allowHardLinks?: boolean;
  /** Where the data files of some locations lie, for a model whose files are not in place yet. */
  readonly dataFiles?: ReadonlyMap<string, string>;
  /** How errors and the store name the file; differs where a link was resolved. */
  readonly shownPath?: string;
}

/** The constants of an ONNX file as a store: initialisers by name, those of subgraphs as `<scope>/<name>`. */
export function openOnnxStore(path: string, shownPath = path): TensorStore {
  return openOnnx(path, { shownPath }).store;
}

/** Whether the bytes can start an ONNX model: field 1 is the IR version, and every exporter writes it first. */
export function startsLikeOnnx(start: Uint8Array): boolean {
  const [tag, irVersion = 0, next] = start;
  return tag === MODEL.irVersion && irVersion > 0 && irVersion < 0x80 && FIRST_BYTES.has(next);
}

/**
 * Opens an ONNX file and the data files that it names.
 *
 * @throws {FormatError | FileError | UnsupportedError} naming the file and, where there is one, the tensor
 */
export function openOnnx(path: string, options: OpenOnnxOptions = {}): OnnxModel {
  const { allowHardLinks = false, shownPath = path, dataFiles } = options;
  const open = ({ fd, identity }: OpenFile) => {
    const start = readStart(accessTo({ fd, identity }, shownPath));
    assertLooksLikeOnnx(start, shownPath);
    const warnings = new Warnings(shownPath);
    const external = new ExternalFiles({ model: path, shownPath, allowHardLinks }, warnings, dataFiles);
    try {
      return walkModel({ wire: wireOf(fd, { identity, path: shownPath }), identity, external, warnings });
    } catch (error) {
      if (FIRST_BYTES.has(start[0]) || !(error instanceof FormatError) || error.code !== "INVALID_PROTOBUF")
        throw error;
      throw new FormatError("WRONG_FORMAT", "is no ONNX model", { file: shownPath, cause: error });
    }
  };
  return withFile(path, open, shownPath);
}

/** First bytes of the fields 1 to 8 and 14, one of which starts every model that an exporter wrote. */
const FIRST_BYTES: ReadonlySet<number | undefined> = new Set([0x08, 0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72]);

function assertLooksLikeOnnx(start: Uint8Array, path: string): void {
  if (start.length === 0) {
    throw new FormatError("EMPTY_FILE", "the file is empty", { file: path, hint: "download it again" });
  }
  const isSafetensors = start[8] === 0x7b && start.length > 8 && start.subarray(4, 8).every((byte) => byte === 0);
  if (isSafetensors) {
    throw new FormatError("WRONG_FORMAT", "is a safetensors file", {
      file: path,
      hint: "give it a name that ends in .safetensors",
    });
  }
  if (!FIRST_BYTES.has(start[0])) assertNotLookAlike(start, path);
}

function walkModel(context: WalkContext): OnnxModel {
  const { wire, identity, warnings } = context;
  const graphParts: Span[] = [];
  const functions: OnnxFunction[] = [];
  const opsetImports = new Map<string, number>();
  const metadata = new Map<string, string>();
  let irVersion: number | undefined;
  let holdsTraining = false;
  for (const field of wire.fields([wire.root])) {
    switch (field.tag) {
      case MODEL.irVersion:
        irVersion = wire.number(field);
        break;
      case MODEL.graph:
        graphParts.push(wire.child(field));
        break;
      case MODEL.opsetImport:
        addOpset(context, opsetImports, wire.child(field));
        break;
      case MODEL.metadata: {
        const { key, value } = readEntry(wire, wire.child(field));
        if (metadata.has(key)) warnings.add(`metadata ${quote(key)} stated twice, the last one counts`);
        metadata.set(key, value);
        break;
      }
      case MODEL.trainingInfo:
        holdsTraining = true;
        break;
      case MODEL.functions:
        functions.push(walkFunction(context, wire.child(field), functions.length));
    }
  }
  const versions = checkVersions(irVersion, opsetImports, context);
  if (graphParts.length === 0) throw new FormatError("INVALID_MODEL", "holds no graph", { file: wire.path });
  if (holdsTraining) warnings.add("training_info is kept as it is and not looked into");
  if (graphParts.length > 1) warnings.add("the graph is stated in several parts, which are read as one");
  const graph = walkGraph(context, graphParts, "");
  checkModel({ path: wire.path, irVersion: versions, opsetImports, graph, functions }, warnings);
  const constants = collectConstants(graph, functions, wire.path);
  const dataFiles = context.external.identities;
  return {
    path: wire.path,
    identity,
    span: wire.root,
    irVersion: versions,
    opsetImports,
    graph,
    functions,
    metadata,
    constants,
    dataFiles,
    store: storeOf(wire.path, constants, metadata, [identity, ...dataFiles.values()], warnings),
  };
}

function storeOf(
  path: string,
  constants: OnnxModel["constants"],
  metadata: ReadonlyMap<string, string>,
  files: readonly FileIdentity[],
  warnings: Warnings,
): TensorStore {
  const tensors = new Map(
    [...constants].map(([key, { tensor }]) => {
      // Object spread would call the getter of bytes that are not made yet.
      const { dtype, shape, byteLength, source } = tensor.data;
      return [key, { name: key, dtype, shape, byteLength, source }];
    }),
  );
  return { path, tensors, metadata, files, warnings: warnings.lines };
}

function checkVersions(
  irVersion: number | undefined,
  opsets: ReadonlyMap<string, number>,
  { wire, warnings }: WalkContext,
): number {
  const details = { file: wire.path };
  if (irVersion === undefined)
    throw new FormatError("INVALID_MODEL", "states no IR version: not an ONNX model", details);
  if (!(irVersion >= 1 && Number.isSafeInteger(irVersion))) {
    throw new FormatError("INVALID_MODEL", `expected an IR version above 0, got ${irVersion}`, details);
  }
  if (irVersion > NEWEST_IR_VERSION) {
    warnings.add(`IR version ${irVersion} is newer than ${NEWEST_IR_VERSION}, the newest that is known`);
  }
  if (irVersion >= 3 && opsets.size === 0) throw new FormatError("INVALID_MODEL", "imports no operator set", details);
  if ((opsets.get("") ?? 0) > NEWEST_OPSET_VERSION) {
    warnings.add(`operator set ${opsets.get("")} is newer than ${NEWEST_OPSET_VERSION}, the newest that is known`);
  }
  return irVersion;
}
