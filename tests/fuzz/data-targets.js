// @ts-check
/** What is fuzzed of training: data files, tokenizers, chat templates and options. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { train } from "lora-tool/train";
import { prepareData } from "../../dist/train/data/prepare.js";
import { mutateBytes, mutateJson } from "./mutate.js";

/** @typedef {import("./random.js").Random} Random */
/** @typedef {import("./targets.js").Target} Target */

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const STORIES = join(FIXTURES, "stories260K");
/** Kinds of tokenizers, each with special tokens of its own. */
const KINDS = ["behaviours", "gemma", "gpt2", "llama3", "qwen2", "suffixes", "unigram", "unigram-bytes", "wordlevel"];
const TEMPLATES = ["chatml", "headers", "inst", "rewriting", "turns"];

const ROWS = [
  '{"text":"Once upon a time, <s>there</s> was 1 café\\n"}',
  '{"prompt":"What is 2 + 2? ","completion":"4"}',
  '{"messages":[{"role":"system","content":"Sing."},{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"tools":[{"name":"f"}]}',
  '{"instruction":"Add.","input":"1 2","output":"3"}',
  '{"input_ids":[1,2,3],"labels":[-100,2,3],"attention_mask":[1,1,1]}',
];

/**
 * Lines that a file of rows ends with, so that damage meets rows of one kind and of several.
 *
 * @param {Random} random
 */
function seedRows(random) {
  const rows = [random.pick(ROWS)];
  while (random.chance(0.6)) rows.push(random.chance(0.8) ? (rows[0] ?? "") : random.pick(ROWS));
  return rows;
}

/**
 * @param {string} folder to work in
 * @returns {Target[]}
 */
export function makeDataTargets(folder) {
  const own = join(folder, "data");
  const model = join(own, "model");
  mkdirSync(model, { recursive: true });
  const template = join(model, "chat_template.jinja");
  const config = join(model, "tokenizer_config.json");
  const tokenizer = join(model, "tokenizer.json");

  /** @param {string} path @param {Partial<import("../../dist/train/data/data-reader.js").DataRequest>} change */
  const prepare = async (path, change = {}) => {
    const request = { path, tokenizerFolder: STORIES, vocabulary: 512, maxLength: 64, previews: 2, ...change };
    const rows = prepareData(request, () => {});
    while (rows.next().done !== true);
  };
  const intact = () => {
    writeFileSync(tokenizer, readFileSync(join(STORIES, "tokenizer.json")));
    writeFileSync(config, readFileSync(join(STORIES, "tokenizer_config.json")));
    writeFileSync(template, readFileSync(join(FIXTURES, "templates/chatml.jinja")));
  };

  return [
    {
      name: "rows",
      weight: 6,
      files: [own],
      prepare: (random) => {
        intact();
        const form = random.pick(["jsonl", "json", "txt"]);
        const path = join(own, `rows.${form}`);
        const rows = seedRows(random);
        const text = form === "json" ? `[${rows.join(",\n")}]` : rows.join(random.pick(["\n", "\r\n", "\n\n"]));
        const damaged = random.chance(0.5) ? mutateJson(random, text) : mutateBytes(random, Buffer.from(text));
        writeFileSync(path, random.chance(0.1) ? text : damaged);
        const tokenizerFolder = random.chance(0.8) ? model : undefined;
        return () => prepare(path, { tokenizerFolder, maxLength: random.pick([1, 2, 64]) });
      },
    },
    {
      name: "tokenizer",
      weight: 6,
      files: [own],
      prepare: (random) => {
        intact();
        const kind = join(FIXTURES, "tokenizers", random.pick(KINDS), "tokenizer.json");
        const text = readFileSync(random.chance(0.8) ? kind : join(STORIES, "tokenizer.json"), "utf8");
        // Most of a file is its vocabulary: damage to what stands before and behind it is rarer than it should be.
        const [head = "", ...vocabulary] = text.split('"vocab":');
        const damaged = random.chance(0.7)
          ? [mutateBytes(random, Buffer.from(head)).toString("utf8"), ...vocabulary].join('"vocab":')
          : mutateJson(random, text);
        writeFileSync(tokenizer, damaged);
        if (random.chance(0.2)) writeFileSync(config, mutateJson(random, readFileSync(config, "utf8")));
        const path = join(own, "rows.jsonl");
        writeFileSync(path, `${random.pick(ROWS)}\n`);
        return () => prepare(path, { tokenizerFolder: model, vocabulary: random.pick([100, 512, 100_000]) });
      },
    },
    {
      name: "chat template",
      weight: 6,
      files: [own],
      prepare: (random) => {
        intact();
        const text = readFileSync(join(FIXTURES, `templates/${random.pick(TEMPLATES)}.jinja`));
        writeFileSync(template, mutateBytes(random, text));
        const path = join(own, "rows.jsonl");
        writeFileSync(path, `${ROWS[2]}\n${ROWS[2]}\n`);
        return () => prepare(path, { tokenizerFolder: model });
      },
    },
    {
      name: "training options",
      weight: 0.7,
      maxSeconds: 10,
      files: [own],
      prepare: (random) => {
        const path = join(own, "tokens.jsonl");
        writeFileSync(path, '{"input_ids":[1,2,3,4]}\n{"input_ids":[5,6,7]}\n');
        const base = random.chance(0.8) ? STORIES : join(own, "nowhere");
        const options = { base, data: path, out: join(own, "out"), dryRun: true, ...randomOptions(random) };
        return () => train(options);
      },
    },
  ];
}

/** Values of every option, most of them in range. @type {Record<string, readonly unknown[]>} */
const OPTIONS = {
  rank: [8, 1, 0, -1, 1.5, 2 ** 40, Number.NaN, "8"],
  alpha: [16, 0.5, 0, -1, Number.POSITIVE_INFINITY, "16"],
  scaling: ["lora", "rslora", "LORA", "__proto__"],
  targetModules: ["all-linear", "q_proj,v_proj", ".*q_proj", "(a+)+$", "[", "", "nothing", ["q_proj"], []],
  rankPattern: [{}, { q_proj: 4 }, { "(": 4 }, { q_proj: 0 }, { q_proj: "4" }, JSON.parse('{"__proto__":4}')],
  alphaPattern: [{ v_proj: 8 }, { "[": 1 }, { v_proj: -1 }],
  dropout: [0, 0.5, 1, -0.1, Number.NaN],
  init: ["default", "gaussian", "pissa", "constructor"],
  optimizer: ["adamw", "sgd", "toString"],
  lr: [1e-3, 0, -1, Number.NaN, 1e300],
  betas: [[0.9, 0.999], [1, 1], [0.9], "0.9"],
  eps: [1e-8, 0, -1],
  scheduler: ["linear", "cosine", "hasOwnProperty"],
  warmupSteps: [0, 3, 0.1, -1, 1e9],
  steps: [5, 0, -1, 2.5, 2 ** 53],
  epochs: [1, 0, 0.5, -1],
  batchSize: [2, 0, -1, 1e9, 1.5],
  gradAccum: [1, 4, 0, 1e9],
  maxLength: [128, 1, 0, -1, 1e9],
  maxGradNorm: [1, 0, -1, Number.NaN],
  seed: [42, 0, -1, 2 ** 53, 0.5],
  modulesToSave: [[], ["embed_tokens"], ["lm_head"], ["nothing"], ["\u001b[2J"]],
  layers: [[0], [99], [-1], []],
};

/** @param {Random} random */
function randomOptions(random) {
  const names = Object.keys(OPTIONS).filter(() => random.chance(0.12));
  return Object.fromEntries(
    names.map((name) => {
      const [usual, ...others] = OPTIONS[name] ?? [];
      return [name, random.chance(0.5) ? usual : random.pick([usual, ...others])];
    }),
  );
}
