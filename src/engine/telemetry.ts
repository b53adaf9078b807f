/**
 * Keeps ONNX Runtime from reporting to its maker: since 1.29 its binaries write a database under `~/.cache` and a log
 * under the temporary folder, and upload names, hashes and sizes of models unless an environment variable forbids it.
 */

/**
 * Must run in the main thread before any thread loads the native library, which reads the environment of the process;
 * what a worker thread sets stays in that thread's copy. A value that the user has set stays.
 */
export function disableTelemetry(): void {
  process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
}
