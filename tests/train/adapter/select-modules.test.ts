/** Which layers are adapted, by PEFT's rules for names. */

import { describe, expect, it } from "vitest";
import { selectModules, type TargetSettings } from "../../../src/train/adapter/select-modules.ts";
import type { BaseLayer } from "../../../src/train/base/base.ts";

const layer = (module: string, kind: BaseLayer["kind"] = "linear", block?: number): BaseLayer => ({
  module,
  kind,
  weight: `${module}.weight`,
  inputs: 4,
  outputs: 6,
  output: module,
  block,
  inputsFirst: kind === "embedding",
  isHead: module === "lm_head",
});

const LAYERS = [
  layer("model.embed_tokens", "embedding"),
  ...[0, 1, 10].flatMap((block) =>
    ["self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj"].map((name) =>
      layer(`model.layers.${block}.${name}`, "linear", block),
    ),
  ),
  layer("lm_head"),
];

const SETTINGS: TargetSettings = {
  targetModules: "all-linear",
  layers: undefined,
  modulesToSave: [],
  rank: 8,
  alpha: 16,
  convention: "lora",
  rankPattern: new Map(),
  alphaPattern: new Map(),
};

const select = (settings: Partial<TargetSettings>) => selectModules(LAYERS, { ...SETTINGS, ...settings });
const names = (settings: Partial<TargetSettings>) => select(settings).map(({ layer: { module } }) => module);

describe("selectModules", () => {
  it("takes every linear layer but the head for all-linear", () => {
    expect(names({})).toHaveLength(9);
    expect(names({})).not.toContain("lm_head");
  });

  it("takes a module listed by its whole name whatever its layer, as PEFT does", () => {
    expect(names({ targetModules: ["q_proj", "lm_head"], layers: [1] })).toEqual([
      "model.layers.1.self_attn.q_proj",
      "lm_head",
    ]);
  });

  it.each<[TargetSettings["targetModules"], number]>([
    ["q_proj", 3],
    ["q_proj, v_proj", 6],
    [["embed_tokens", "lm_head"], 2],
    ["model.layers.1.self_attn.q_proj", 1],
    [".*\\.(q|v)_proj", 6],
    ["model\\.layers\\.1\\..*", 3],
    ["model\\.layers\\.1", 0],
  ])("%j hits %i layers", (targetModules, count) => {
    if (count === 0) expect(() => names({ targetModules })).toThrow(/matches no layer of the base/);
    else expect(names({ targetModules })).toHaveLength(count);
  });

  it("keeps to the blocks that are asked for", () => {
    expect(names({ layers: [1] })).toEqual(names({}).filter((name) => name.startsWith("model.layers.1.")));
    expect(() => names({ layers: [2] })).toThrow(/matches no layer of the base in layers 2/);
  });

  it("leaves alone what is trained whole", () => {
    expect(names({ targetModules: ["q_proj", "lm_head"], modulesToSave: ["lm_head"] })).not.toContain("lm_head");
  });

  it("gives each module the rank and alpha of the first pattern that hits, and its scale", () => {
    const modules = select({
      convention: "rslora",
      rankPattern: new Map([["layers.1.self_attn.q_proj", 4]]),
      alphaPattern: new Map([["v_proj", 8]]),
    });
    const found = new Map(modules.map(({ layer: { module }, ...rest }) => [module, rest]));
    expect(found.get("model.layers.1.self_attn.q_proj")).toEqual({ rank: 4, alpha: 16, scale: 8 });
    expect(found.get("model.layers.0.self_attn.v_proj")).toEqual({ rank: 8, alpha: 8, scale: 8 / Math.sqrt(8) });
  });

  it.each<[Partial<TargetSettings>, RegExp]>([
    [{ targetModules: [], modulesToSave: ["lm_head"] }, /matches no layer of the base/],
    [{ targetModules: "q_prj" }, /"--target-modules q_prj": no layer of the base has this name.*"q_proj"/],
    [{ rankPattern: new Map([["k_proj", 2]]) }, /"--rank-pattern k_proj": the pattern matches no adapted module/],
    [{ targetModules: "(q_proj" }, /target_modules/],
  ])("refuses %j", (settings, message) => {
    expect(() => select(settings)).toThrow(message);
  });
});
