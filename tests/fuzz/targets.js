// @ts-check
/**
 * What is fuzzed: each target writes damaged files and hands them to the program. Seeds are the fixtures, which are real
 * files, and small ones that hold what real ones seldom do.
 */

import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, inspect, merge } from "lora-tool";
import { makeBaseTargets } from "./base-targets.js";
import { makeDataTargets } from "./data-targets.js";
import { makeGraphTargets } from "./graph-targets.js";
import { misfitSafetensors, mutateBytes, mutateJson, mutateSafetensors } from "./mutate.js";

/** @typedef {import("./random.js").Random} Random */

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {number} weight share of the executions
 * @property {number} [maxSeconds] where an execution starts threads
 * @property {(random: Random) => () => Promise<unknown>} prepare damages files and returns what to try on them
 * @property {readonly string[]} files what `prepare` writes, to keep when something goes wrong
 */

const FIXTURES = join(import.meta.dirname, "../../fixtures");

/** @param {string} header @param {number} dataBytes */
function fileOf(header, dataBytes) {
  const json = Buffer.from(header);
  const file = Buffer.alloc(8 + json.length + dataBytes, 0x3c);
  file.writeBigUInt64LE(BigInt(json.length));
  json.copy(file, 8);
  return file;
}

export const SAFETENSORS_SEEDS = [
  fileOf(
    '{"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}  ',
    32,
  ),
  fileOf('{"__metadata__":{"format":"pt","x":"y"},"w":{"dtype":"F4","shape":[2,2],"data_offsets":[0,2]}}', 2),
  fileOf(
    '{"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"e":{"dtype":"U8","shape":[0,3],"data_offsets":[8,8]}}',
    8,
  ),
  fileOf("{}", 0),
  fileOf(' {"__proto__":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', 1),
];

/**
 * All targets, working in a folder of their own.
 *
 * @param {string} folder
 * @returns {Target[]}
 */
export function makeTargets(folder) {
  const single = join(folder, "single.safetensors");
  const cases = [
    ["llama-lora", "adapter"],
    ["llama-patterns", "adapter"],
    ["llama-dora", "adapter"],
    ["loha", "adapter"],
    ["lokr", "adapter"],
    ["ia3", "adapter"],
    ["adalora", "adapter"],
    ["mixtral-experts", "adapter"],
    ["modules-to-save", "adapter"],
    ["trainable-tokens", "adapter"],
    ["tied-lm-head-lora", "adapter"],
    ["gpt2-lora", "adapter"],
    ["pattern-named-group", "adapter"],
  ].map(([name = "", part = ""]) => {
    const copy = join(folder, name);
    cpSync(join(FIXTURES, "peft", name, "base"), join(copy, "base"), { recursive: true });
    cpSync(join(FIXTURES, "peft", name, part), join(copy, "adapter"), { recursive: true });
    return { base: join(copy, "base"), adapter: join(copy, "adapter") };
  });
  const models = readdirSync(join(FIXTURES, "models")).flatMap((name) => {
    if (name === "stories260K") return [];
    cpSync(join(FIXTURES, "models", name), join(folder, "models", name), { recursive: true });
    return [join(folder, "models", name)];
  });
  const sharded = join(folder, "sharded");
  cpSync(join(FIXTURES, "stories260K-sharded-bf16"), sharded, { recursive: true });

  /** @param {string} path */
  const original = (path) => originals.get(path) ?? keep(path);
  /** @type {Map<string, Buffer>} */
  const originals = new Map();
  /** @param {string} path */
  const keep = (path) => {
    const bytes = readFileSync(path);
    originals.set(path, bytes);
    return bytes;
  };
  /** @type {Set<string>} */
  const damaged = new Set();
  /** Puts back what the last execution damaged, then writes. @param {string} path @param {Buffer | string} content */
  const damage = (path, content) => {
    for (const other of damaged) writeFileSync(other, original(other));
    damaged.clear();
    original(path);
    damaged.add(path);
    writeFileSync(path, content);
  };

  /** @param {Random} random @param {(random: Random, one: { base: string, adapter: string }) => void} spoil */
  const planning = (random, spoil) => {
    const one = random.pick(cases);
    spoil(random, one);
    const options = { base: one.base, adapters: [{ path: one.adapter }], out: join(folder, "out"), dryRun: true };
    const inspected = random.chance(0.3) ? one.adapter : undefined;
    return async () => {
      if (inspected !== undefined) await inspect({ path: inspected });
      await merge({ ...options, allowUnused: random.chance(0.2) });
    };
  };

  /** @param {string} name */
  const textOf = (name) => original(name).toString("utf8");
  /** @param {{ base: string }} one */
  const weightsOf = ({ base }) => join(base, readdirSync(base).find((name) => name.endsWith(".safetensors")) ?? "");

  return [
    {
      name: "safetensors",
      weight: 30,
      files: [single],
      prepare: (random) => {
        writeFileSync(single, mutateSafetensors(random, random.pick(SAFETENSORS_SEEDS)));
        return () => inspect({ path: single });
      },
    },
    {
      name: "index",
      weight: 10,
      files: [sharded],
      prepare: (random) => {
        const path = join(sharded, "model.safetensors.index.json");
        damage(path, mutateJson(random, textOf(path)));
        return () => inspect({ path: sharded });
      },
    },
    {
      name: "config",
      weight: 10,
      files: [folder],
      prepare: (random) =>
        planning(random, (_, { base }) => {
          const path = join(base, "config.json");
          damage(path, mutateJson(random, textOf(path)));
        }),
    },
    {
      name: "adapter config",
      weight: 25,
      files: [folder],
      prepare: (random) =>
        planning(random, (_, { adapter }) => {
          const path = join(adapter, "adapter_config.json");
          damage(path, mutateJson(random, textOf(path)));
        }),
    },
    {
      name: "adapter tensors",
      weight: 15,
      files: [folder],
      prepare: (random) =>
        planning(random, (_, { adapter }) => {
          const path = join(adapter, "adapter_model.safetensors");
          damage(path, spoilTensors(random, original(path)));
        }),
    },
    {
      name: "base tensors",
      weight: 9.5,
      files: [folder],
      prepare: (random) =>
        planning(random, (_, one) => {
          const path = weightsOf(one);
          damage(path, spoilTensors(random, original(path)));
        }),
    },
    {
      name: "model",
      weight: 10,
      files: [folder],
      prepare: (random) => {
        const model = random.pick(models);
        const [config, weights] = [join(model, "config.json"), join(model, "model.safetensors")];
        if (random.chance(0.8)) damage(config, mutateJson(random, textOf(config)));
        else damage(weights, spoilTensors(random, original(weights)));
        return () => convert({ input: model, to: "onnx", out: join(folder, "out.onnx"), dryRun: true });
      },
    },
    {
      name: "whole merge",
      weight: 0.7,
      maxSeconds: 10,
      files: [folder],
      prepare: (random) => {
        const one = random.pick(cases);
        const path = join(one.adapter, "adapter_model.safetensors");
        damage(path, random.chance(0.4) ? mutateData(random, original(path)) : spoilTensors(random, original(path)));
        const out = join(folder, "merged/out");
        return async () => {
          const verify = random.chance(0.3);
          const options = {
            base: one.base,
            adapters: [{ path: one.adapter }],
            out,
            overwrite: true,
            workers: 1,
            verify,
          };
          const outcome = await merge(options).catch((/** @type {unknown} */ error) => error);
          const around = join(folder, "merged");
          mkdirSync(around, { recursive: true });
          const left = readdirSync(around).filter((name) => name !== "out");
          rmSync(around, { recursive: true });
          if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
          if (outcome instanceof Error) throw outcome;
        };
      },
    },
    ...makeBaseTargets(folder),
    ...makeDataTargets(folder),
    ...makeGraphTargets(folder),
  ];
}

/** @param {Random} random @param {Buffer} bytes */
function spoilTensors(random, bytes) {
  return random.chance(0.7) ? misfitSafetensors(random, bytes) : mutateSafetensors(random, bytes);
}

/**
 * The same header over damaged numbers.
 *
 * @param {Random} random
 * @param {Buffer} bytes
 */
function mutateData(random, bytes) {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const data = mutateBytes(random, bytes.subarray(start));
  const result = Buffer.from(bytes);
  data.copy(result, start);
  return result;
}
