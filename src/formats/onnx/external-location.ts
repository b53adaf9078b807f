/**
 * `location` of external data → the real path of a regular file that belongs to the model.
 *
 * onnx docs/ExternalDataSecurity.md: a path relative to the model's folder, with `/`. It may not lead out of it, by `..` or
 * by a link; the one exception is the hub's cache, where the model and its data are links into one folder of blobs, so
 * a link may also lead into the folder that the model's own file really lies in. Hard links may share a file with
 * something secret and are refused unless allowed.
 */

import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import { dirname, isAbsolute, join, posix, relative, resolve, sep } from "node:path";
import { FileError, FormatError, toFileError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { OpenFile } from "../byte-source.ts";

const MAX_LOCATION_LENGTH = 4_096;
const CONTROL = /[\u0000-\u001f\u007f]/;
const ABSOLUTE = /^(?:[/\\~]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:\/\/)/;

export interface LocationRules {
  /** Path of the model, which locations are relative to. */
  readonly model: string;
  /** How errors name it. */
  readonly shownPath: string;
  readonly allowHardLinks: boolean;
}

/**
 * The relative path without `.` and `..`, as text alone can tell.
 *
 * @throws {FormatError | FileError} INVALID_EXTERNAL_DATA, PATH_ESCAPE
 */
export function parseLocation(location: string, model: string, tensor: string): string {
  const details = { file: model, subject: tensor };
  if (location.length > MAX_LOCATION_LENGTH) {
    throw new FormatError("INVALID_EXTERNAL_DATA", `a location of ${location.length} characters`, details);
  }
  if (CONTROL.test(location)) {
    throw new FormatError("INVALID_EXTERNAL_DATA", `a control character in the location ${quote(location)}`, details);
  }
  const path = posix.normalize(location);
  if (ABSOLUTE.test(location) || location.includes("\\") || path === ".." || path.startsWith("../")) {
    throw new FileError(
      "PATH_ESCAPE",
      `expected a location inside the model's folder, got ${quote(location)}`,
      details,
    );
  }
  if (location === "" || path === "." || path.endsWith("/")) {
    throw new FormatError("INVALID_EXTERNAL_DATA", `expected the location of a file, got ${quote(location)}`, details);
  }
  return path;
}

/** The real path of a location. @throws {FileError | FormatError} naming the tensor */
export function resolveLocation(location: string, rules: LocationRules, tensor: string): string {
  const { model, shownPath, allowHardLinks } = rules;
  const relative = parseLocation(location, shownPath, tensor);
  const path = join(dirname(model), relative);
  const details = { file: join(dirname(shownPath), relative), subject: tensor };
  let real: string;
  try {
    real = realpathSync(path);
    const modelPath = realpathSync(model);
    const roots = [realpathSync(dirname(model)), dirname(modelPath)];
    if (real === modelPath)
      throw new FormatError("INVALID_EXTERNAL_DATA", "the data file is the model itself", details);
    if (!roots.some((root) => real.startsWith(root.endsWith(sep) ? root : root + sep))) {
      throw new FileError("PATH_ESCAPE", "is a link that leads out of the model's folder", details);
    }
    const status = lstatSync(real);
    if (!status.isFile()) throw new FileError("NOT_A_REGULAR_FILE", "external data is not a regular file", details);
    if (status.nlink > 1 && !allowHardLinks) {
      throw new FileError("PATH_ESCAPE", "has a second name (hard link), so it may belong to something else", {
        ...details,
        hint: "copy the model to a folder of its own",
      });
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException | null)?.code;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw toFileError(error, details.file);
    const hint = "the model's data files belong beside it: download them, too";
    throw new FileError("FILE_NOT_FOUND", "no such data file", { ...details, hint, cause: error });
  }
  return real;
}

/** Catches a link that was put in place between the check of a path and its opening, where the system can tell. */
export function assertOpenedAt(file: OpenFile, real: string): void {
  if (process.platform !== "linux") return;
  let opened: string;
  try {
    opened = readlinkSync(`/proc/self/fd/${file.fd}`);
  } catch {
    return;
  }
  if (opened !== real) throw new FileError("INPUT_CHANGED", "the path changed while it was opened", { file: real });
}

/** The location of a file as a model at `model` may name it; `undefined` where the file does not lie below its folder. */
export function locationOf(path: string, model: string): string | undefined {
  try {
    const location = relative(realpathSync(dirname(resolve(model))), realpathSync(path));
    return location.startsWith("..") || isAbsolute(location) ? undefined : location.split(sep).join("/");
  } catch (error) {
    if ((error as NodeJS.ErrnoException | null)?.code === "ENOENT") return undefined;
    throw toFileError(error, path);
  }
}
