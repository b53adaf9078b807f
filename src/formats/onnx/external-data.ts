/**
 * `external_data` entries of a tensor → the range of a data file, checked against the tensor and the file.
 *
 * onnx docs/ExternalData.md: location, offset (default 0), length (default: to the end of the file), checksum (SHA-1 of the
 * whole file). Stricter than onnx: decimal digits only, no key twice, length equal to what the shape needs, a wrong
 * checksum refused. Each file is opened once, however many tensors lie in it.
 */

import { FormatError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import { withFile } from "../byte-source.ts";
import { digestOfFile } from "../digest.ts";
import type { FileIdentity } from "../tensor-store.ts";
import { assertOpenedAt, type LocationRules, resolveLocation } from "./external-location.ts";
import type { ExternalData } from "./model.ts";
import type { Warnings } from "./warnings.ts";
import type { Field } from "./wire.ts";

const KNOWN_KEYS: ReadonlySet<string> = new Set(["location", "offset", "length", "checksum"]);
const DECIMAL = /^(?:0|[1-9][0-9]*)$/;
const SHA1 = /^[0-9a-f]{40}$/i;

export interface ExternalEntry {
  readonly key: string;
  readonly value: string;
  /** The entry in the `TensorProto`. */
  readonly field: Field;
}

interface DataFile {
  readonly identity: FileIdentity;
  sha1?: string;
}

export class ExternalFiles {
  readonly #rules: LocationRules;
  readonly #warnings: Warnings;
  readonly #paths: Map<string, string>;
  readonly #files = new Map<string, DataFile>();

  /** @param paths of locations that are not looked for in the model's folder */
  constructor(rules: LocationRules, warnings: Warnings, paths: ReadonlyMap<string, string> = new Map()) {
    this.#rules = rules;
    this.#warnings = warnings;
    this.#paths = new Map(paths);
  }

  /** Every file that was opened, by real path. */
  get identities(): ReadonlyMap<string, FileIdentity> {
    return new Map([...this.#files].map(([path, { identity }]) => [path, identity]));
  }

  /**
   * Where a tensor of `byteLength` bytes lies.
   *
   * @throws {FormatError | FileError} INVALID_EXTERNAL_DATA, PATH_ESCAPE, FILE_NOT_FOUND, NOT_A_REGULAR_FILE
   */
  locate(tensor: string, entries: readonly ExternalEntry[], byteLength: number): ExternalData {
    const byKey = new Map<string, ExternalEntry>();
    for (const entry of entries) {
      if (byKey.has(entry.key)) throw this.#invalid(tensor, `the key ${quote(entry.key)} stands twice`);
      byKey.set(entry.key, entry);
      if (!KNOWN_KEYS.has(entry.key)) this.#warnings.add(`external data: key ${quote(entry.key)} ignored`, tensor);
    }
    const location = byKey.get("location")?.value;
    if (location === undefined) throw this.#invalid(tensor, "no location");
    const offset = this.#integer(tensor, "offset", byKey.get("offset")?.value) ?? 0;
    const length = this.#integer(tensor, "length", byKey.get("length")?.value);
    if (length !== undefined && length !== byteLength) {
      throw this.#invalid(tensor, `expected a length of ${byteLength} bytes, got ${length}`);
    }
    const path = this.#paths.get(location) ?? resolveLocation(location, this.#rules, tensor);
    this.#paths.set(location, path);
    const { size } = this.#open(path).identity;
    if (offset > size || byteLength > size - offset) {
      const found = `bytes ${offset} to ${offset + byteLength} of a file of ${size} bytes`;
      throw this.#invalid(tensor, `expected a range inside ${quote(location)}, got ${found}`);
    }
    if (length === undefined && offset + byteLength < size) {
      this.#warnings.add("external data: no length, and more bytes follow", tensor);
    }
    const checksum = this.#checksum(tensor, path, byKey.get("checksum")?.value);
    const fields = new Map([...byKey].map(([key, { field }]) => [key, field]));
    return { location, path, offset, checksum, entries: fields };
  }

  #integer(tensor: string, key: string, text: string | undefined): number | undefined {
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!DECIMAL.test(text) || !Number.isSafeInteger(value)) {
      throw this.#invalid(tensor, `expected ${key} as decimal digits, got ${quote(text)}`);
    }
    return value;
  }

  #open(path: string): DataFile {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const identity = withFile(path, (file) => {
      assertOpenedAt(file, path);
      return file.identity;
    });
    const opened = { identity };
    this.#files.set(path, opened);
    return opened;
  }

  #checksum(tensor: string, path: string, expected: string | undefined): string | undefined {
    if (expected === undefined) return undefined;
    if (!SHA1.test(expected)) {
      this.#warnings.add("external data: a checksum that is no SHA-1, not checked", tensor);
      return undefined;
    }
    const file = this.#open(path);
    file.sha1 ??= digestOfFile("sha1", path);
    if (file.sha1 !== expected.toLowerCase()) {
      throw this.#invalid(tensor, `expected a data file with SHA-1 ${expected}, got ${file.sha1}`);
    }
    return expected;
  }

  #invalid(subject: string, problem: string): FormatError {
    return new FormatError("INVALID_EXTERNAL_DATA", `external data: ${problem}`, {
      file: this.#rules.shownPath,
      subject,
    });
  }
}
