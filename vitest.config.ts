import { defineConfig } from "vitest/config";

/** Tests that read files and leave nothing behind in their process. */
const READING = "tests/{formats,adapters,inspect}/**/*.test.ts";

export default defineConfig({
  test: {
    setupFiles: ["tests/support/setup.ts"],
    pool: "forks",
    // Two cores are the machine that CI promises.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Modules of a package that Node takes for CommonJS.
    server: { deps: { inline: [/tfjs-core\/dist\/(?!tf-core)/] } },
    projects: [
      // Loading the sources anew for each file would take half of the time.
      { extends: true, test: { name: "reading", include: [READING], isolate: false } },
      // One process a file: native engines keep global state, and some tests replace modules.
      { extends: true, test: { name: "alone", include: ["tests/**/*.test.ts"], exclude: [READING] } },
    ],
  },
});
