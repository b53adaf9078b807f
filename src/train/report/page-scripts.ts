/**
 * The programs inside a report: D3 and Observable Plot as they were installed, and the drawing code of `page.ts`.
 *
 * They are read when a report is written, so that the page needs no network, now and in ten years.
 */

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSmallFile } from "../../formats/byte-source.ts";

export interface PageScript {
  readonly text: string;
  /** `module` runs after the page has been read. */
  readonly type: "text/javascript" | "module";
  /** What a Content-Security-Policy names it by. */
  readonly hash: string;
}

/** Real: D3 0.3 MB, Plot 0.2 MB. */
const MAX_SCRIPT_BYTES = 4_000_000;

/** The drawing code is built, also when this file is run from its source. */
const PAGE = fileURLToPath(new URL("../../../dist/train/report/page.js", import.meta.url));

const require = createRequire(import.meta.url);

/** @throws {FileError} FILE_NOT_FOUND when the installation is incomplete */
export function readPageScripts(): readonly PageScript[] {
  return [
    readScript(besideSource(require.resolve("d3"), "dist/d3.min.js"), "text/javascript"),
    readScript(besideSource(require.resolve("@observablehq/plot"), "dist/plot.umd.min.js"), "text/javascript"),
    readScript(PAGE, "module"),
  ];
}

/** The packages' entry is src/index.js; their files for browsers are no entries of their own. */
function besideSource(entry: string, path: string): string {
  return join(dirname(entry), "..", path);
}

function readScript(path: string, type: PageScript["type"]): PageScript {
  const { bytes } = readSmallFile(path, MAX_SCRIPT_BYTES);
  const text = new TextDecoder()
    .decode(bytes)
    // A map that is not there would be asked for by the browser's tools.
    .replace(/^\/\/# sourceMappingURL=.*$/m, "")
    .replaceAll("</script", "<\\/script");
  return { text, type, hash: `sha256-${createHash("sha256").update(text).digest("base64")}` };
}
