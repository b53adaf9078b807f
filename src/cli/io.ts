/**
 * The streams that commands write to, passed in so that tests need no process: results on stdout, the rest on stderr.
 */

import { styleText } from "node:util";

export interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Whether stderr is a terminal that may be redrawn. */
  readonly interactive: boolean;
  readonly signal: AbortSignal;
}

type Style = "bold" | "dim" | "red" | "yellow" | "green" | "cyan";

/** Text in a style where the stream shows colours and NO_COLOR is not set. */
export function paint(stream: NodeJS.WritableStream, style: Style, text: string): string {
  return styleText(style, text, { stream: stream as NodeJS.WriteStream });
}
