import { describe, expect, test } from "vitest";
import { errorOf } from "../../../support/errors.ts";
import { loraSettings, pair, readAdapter } from "./build.ts";

const tensors = pair("model.q_proj");

describe("adapter_config.json", () => {
  test.each([
    ["r", undefined],
    ["r", null],
    ["r", 0],
    ["r", -1],
    ["r", 1.5],
    ["r", "8"],
    ["r", true],
    ["r", 1e9],
    ["lora_alpha", undefined],
    ["lora_alpha", null],
    ["lora_alpha", "16"],
    ["lora_alpha", "NaN"],
    ["lora_alpha", -1],
    ["lora_alpha", 1e308],
    ["lora_alpha", [8]],
    ["use_rslora", "true"],
    ["use_rslora", 1],
    ["use_dora", "yes"],
    ["lora_bias", 0],
    ["fan_in_fan_out", {}],
    ["ensure_weight_tying", "false"],
    ["target_modules", {}],
    ["target_modules", ["", "q_proj"]],
    ["target_modules", ["q_proj", 1]],
    ["target_modules", ""],
    ["target_modules", 5],
    ["exclude_modules", [null]],
    ["modules_to_save", "score"],
    ["layers_to_transform", [-1]],
    ["layers_to_transform", "0"],
    ["layers_pattern", [3]],
    ["rank_pattern", []],
    ["rank_pattern", { q_proj: 0 }],
    ["rank_pattern", { q_proj: "4" }],
    ["alpha_pattern", { q_proj: null }],
    ["alpha_pattern", "q_proj"],
    ["target_parameters", "experts.w"],
    ["trainable_token_indices", [1.5]],
    ["trainable_token_indices", [-1]],
    ["trainable_token_indices", { embed_tokens: ["a"] }],
    ["trainable_token_indices", [3, 3]],
    ["use_bdlora", true],
    ["use_bdlora", { nblocks: 0 }],
    ["init_lora_weights", 3],
    ["base_model_name_or_path", 7],
    ["peft_version", 1],
  ])("refuses %s when it is %j", async (key, value) => {
    const error = await errorOf(() => readAdapter(loraSettings({ [key]: value }), tensors));
    expect(error.code).toBe("INVALID_CONFIG");
    expect(error.message).toContain("adapter/adapter_config.json: ");
    expect(error.message).toContain(`"${key}`);
    expect(error.message).toMatch(/expected .*, got /);
  });

  test.each([
    ["r as 4.0", '{"peft_type": "LORA", "r": 4.0, "lora_alpha": 8}'],
    ["a fractional alpha", JSON.stringify(loraSettings({ lora_alpha: 2.5 }))],
    [
      "null for everything optional",
      JSON.stringify(loraSettings({ use_rslora: null, rank_pattern: null, bias: null })),
    ],
    ["duplicates in target_modules", JSON.stringify(loraSettings({ target_modules: ["q_proj", "q_proj"] }))],
    [
      "unknown settings that are not set",
      JSON.stringify(loraSettings({ a: null, b: false, c: 0, d: "", e: [], f: {} })),
    ],
  ])("takes %s", (_, text) => {
    expect(readAdapter(text, tensors).modules).toHaveLength(1);
  });

  test.each([true, 1, "x", [0], { a: null }])("refuses an unknown setting that is %j", async (value) => {
    const error = await errorOf(() => readAdapter(loraSettings({ use_future_lora: value }), tensors));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
    expect(error.message).toContain('"use_future_lora": unknown setting');
  });

  test.each([
    [{ modules_to_save: ["embed_tokens"] }, true],
    [{ modules_to_save: ["model.embed_tokens"] }, true],
    [{ target_modules: ["q_proj", "lm_head"] }, true],
    [{ target_modules: ".*(q_proj|embed_tokens)" }, true],
    [{ modules_to_save: ["wte"] }, false],
    [{ target_modules: ["q_proj", "word_embeddings"] }, false],
    [{ target_modules: "model\\.(q_proj|embed_tokens)" }, false],
  ])("ties both ends under %j as PEFT does: %j", (settings, keepsTie) => {
    expect(readAdapter(loraSettings({ ...settings, ensure_weight_tying: true }), tensors)).toMatchObject({ keepsTie });
    expect(readAdapter(loraSettings(settings), tensors)).toMatchObject({ keepsTie: false });
  });

  test("refuses a key that stands twice", async () => {
    const text = '{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "r": 8}';
    expect((await errorOf(() => readAdapter(text, tensors))).code).toBe("DUPLICATE_KEY");
  });

  test("keeps names such as __proto__ as names", () => {
    const settings =
      '{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "rank_pattern": {"__proto__": 4, "constructor": 2}}';
    expect(readAdapter(settings, tensors).modules[0]?.rank).toBe(4);
  });

  test.each([
    ["megatron_config", { tensor_model_parallel_size: 2 }],
    ["layer_replication", [[0, 4]]],
    ["alora_invocation_tokens", [1, 2]],
    ["arrow_config", { top_k: 3 }],
    ["use_qalora", true],
    ["kasa_config", { beta: 0.1 }],
    ["enable_lora", [true, false, true]],
  ])("refuses %s with the reason", async (key, value) => {
    const error = await errorOf(() => readAdapter(loraSettings({ [key]: value }), tensors));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
    expect(error.subject).toBe(key);
    expect(error.message.length).toBeGreaterThan(80);
  });

  test.each(["pissa_niter_16", "corda", "lora_ga", "loftq", "something"])(
    "refuses the initialisation %s and says how to use a changed base",
    async (init) => {
      const error = await errorOf(() => readAdapter(loraSettings({ init_lora_weights: init }), tensors));
      expect(error.code).toBe("UNSUPPORTED_ADAPTER");
      expect(error.message).toContain(`"${init}"`);
      expect(error.hint).toContain("init_lora_weights to true");
    },
  );

  test.each([
    [true, undefined],
    [false, undefined],
    ["gaussian", undefined],
    ["eva", undefined],
    ["orthogonal", undefined],
    ["mica", undefined],
    ["pissa", "pissa"],
    ["olora", "olora"],
    ["OLoRA", "olora"],
  ])("reads the initialisation %j as residual %j", (init, residual) => {
    const adapter = readAdapter(loraSettings({ init_lora_weights: init }), tensors);
    expect(adapter.modules[0]?.residual).toBe(residual);
  });

  // Every type that PEFT 0.21.2 can write and BONE, which older versions did.
  test.each(
    (
      "PROMPT_TUNING MULTITASK_PROMPT_TUNING P_TUNING PREFIX_TUNING ADAMSS BOFT ADAPTION_PROMPT BEFT LILY OFT POLY " +
      "FROD PVERA FOURIERFT GLORA XLORA HRA VBLORA UNILORA CPT MISS RANDLORA ROAD HIRA SHIRA C3A WAVEFT " +
      "OSF DELORA GRALORA CARTRIDGE TINYLORA PSOFT PEANUT SHADOW SUPERTUNING DEFT BONE"
    ).split(" "),
  )("refuses the type %s with a reason", async (type) => {
    const error = await errorOf(() => readAdapter(loraSettings({ peft_type: type }), tensors));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
    expect(error.message).toMatch(new RegExp(`"${type}", expected one of LORA, .*: \\S`));
  });

  test.each([undefined, null, "NEW_TYPE"])("refuses the type %j", async (type) => {
    const error = await errorOf(() => readAdapter(loraSettings({ peft_type: type }), tensors));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
  });
});
