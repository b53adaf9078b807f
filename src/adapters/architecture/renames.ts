/**
 * Names on disk → names in the running model, where transformers renames while loading (`conversion_mapping.py` of
 * transformers 5.23). Adapters carry the names of the running model, whose version may be older or newer than the files.
 *
 * Only the renamings of whole name parts; wrappers around a model (`language_model.`, `thinker.` …) are looked through by
 * the matching of names, and fused or stacked weights are placed by their own rules.
 */

/** Consecutive parts `from` of a name become `to`. */
export interface Rename {
  readonly from: readonly string[];
  readonly to: readonly string[];
}

type RenameRow = readonly [types: readonly string[], renames: Readonly<Record<string, string>>];

const VIT_ATTENTION = {
  "attention.attention.query": "attention.q_proj",
  "attention.attention.key": "attention.k_proj",
  "attention.attention.value": "attention.v_proj",
  "attention.output.dense": "attention.o_proj",
};

const TABLE: readonly RenameRow[] = [
  [["gpt_neox"], { embed_out: "lm_head" }],
  [["mixtral", "minimax", "minimax_m2", "minimax_m3_vl", "kimi_linear"], { block_sparse_moe: "mlp" }],
  [["phimoe"], { "block_sparse_moe.gate": "mlp.router", block_sparse_moe: "mlp" }],
  [
    ["granitemoe", "granitemoeshared", "granitemoehybrid", "granitemoe_swa"],
    {
      "input_linear.weight": "experts.gate_up_proj",
      "output_linear.weight": "experts.down_proj",
      "router.layer": "router",
    },
  ],
  [["aria", "aria_text"], { "experts.fc1.weight": "experts.gate_up_proj", "experts.fc2.weight": "experts.down_proj" }],
  [["nemotron_h"], { backbone: "model" }],
  [["hy_v3"], { "router.gate": "gate", shared_mlp: "shared_experts" }],
  [["laguna"], { shared_expert: "shared_experts" }],
  [
    ["bailing_hybrid"],
    { word_embeddings: "embed_tokens", "attention.dense": "self_attn.o_proj", attention: "self_attn" },
  ],
  [
    ["vit", "audio-spectrogram-transformer", "beit", "deit", "ijepa", "vit_mae", "vit_msn", "vivit", "pixio"],
    { "encoder.layer": "layers", ...VIT_ATTENTION, "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2" },
  ],
  [["dinov2", "dinov2_with_registers"], VIT_ATTENTION],
  [
    ["nomic_bert"],
    {
      "encoder.layers": "layers",
      "attn.out_proj": "self_attn.o_proj",
      fc11: "up_proj",
      fc12: "gate_proj",
      fc2: "down_proj",
    },
  ],
];

const EVERY_TYPE: Readonly<Record<string, string>> = {
  "LayerNorm.gamma": "LayerNorm.weight",
  "LayerNorm.beta": "LayerNorm.bias",
};

/** The renamings for a model with these types, in the order in which they apply. */
export function renamesFor(types: ReadonlySet<string>): readonly Rename[] {
  const rows = TABLE.filter(([names]) => names.some((name) => types.has(name))).map(([, renames]) => renames);
  return [...rows, EVERY_TYPE].flatMap((renames) =>
    Object.entries(renames).map(([from, to]) => ({ from: from.split("."), to: to.split(".") })),
  );
}

/** The name in the running model. */
export function applyRenames(name: string, renames: readonly Rename[]): string {
  let parts = name.split(".");
  for (const { from, to } of renames) parts = replaceParts(parts, from, to);
  return parts.join(".");
}

function replaceParts(parts: string[], from: readonly string[], to: readonly string[]): string[] {
  const out: string[] = [];
  for (let index = 0; index < parts.length; ) {
    if (from.every((part, offset) => parts[index + offset] === part)) {
      out.push(...to);
      index += from.length;
    } else {
      out.push(parts[index] ?? "");
      index++;
    }
  }
  return out;
}
