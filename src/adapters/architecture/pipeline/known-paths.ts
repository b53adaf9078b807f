/**
 * Paths of the layers of known architectures, as patterns: what a flat name can mean where no base is at hand.
 *
 * A flat name is compared with the flattened patterns as a whole; one that fits two of them is ambiguous.
 */

import { fillPath } from "./path-pairs.ts";
import { FUSED_PATHS, PATH_PAIRS } from "./transformer-names.ts";

/** `a` and `b.c` under `root` are `root.a` and `root.b.c`. */
function under(roots: readonly string[], leaves: readonly string[]): string[] {
  return roots.flatMap((root) => leaves.map((leaf) => (leaf === "" ? root : `${root}.${leaf}`)));
}

const ATTENTION = [
  "norm",
  "proj_in",
  "proj_out",
  ...under(
    ["transformer_blocks.*"],
    [
      ...under(["attn1", "attn2"], ["to_q", "to_k", "to_v", "to_out.0"]),
      ...["ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3"],
    ],
  ),
];

const UNET = [
  ...under(["down_blocks.*.attentions.*", "up_blocks.*.attentions.*", "mid_block.attentions.*"], ATTENTION),
  ...under(
    ["down_blocks.*.resnets.*", "up_blocks.*.resnets.*", "mid_block.resnets.*"],
    ["conv1", "conv2", "conv_shortcut", "time_emb_proj", "norm1", "norm2"],
  ),
  ...["down_blocks.*.downsamplers.*.conv", "up_blocks.*.upsamplers.*.conv", "conv_in", "conv_out", "conv_norm_out"],
  ...under(["time_embedding", "add_embedding"], ["linear_1", "linear_2"]),
];

const ORIGINAL_UNET = [
  ...under(
    ["input_blocks.*.*", "output_blocks.*.*", "middle_block.*"],
    [...ATTENTION, "in_layers.*", "out_layers.*", "emb_layers.*", "skip_connection", "op", "conv"],
  ),
  ...["input_blocks.*.*", "time_embed.*", "label_emb.*.*", "out.*"],
];

const TRANSFORMERS = [...PATH_PAIRS.flat(), ...FUSED_PATHS.flatMap(({ whole, parts }) => [whole, ...parts])].filter(
  (path) => !/^(?:transformer\.resblocks|text_model|token_embedding|ln_final)/.test(path),
);

const TEXT_ENCODERS = [
  ...under(
    ["text_model.encoder.layers.*"],
    [
      ...under(["self_attn"], ["q_proj", "k_proj", "v_proj", "out_proj"]),
      ...["mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2"],
    ],
  ),
  ...["text_model.embeddings.token_embedding", "text_model.final_layer_norm", "text_projection"],
  ...under(
    ["encoder.block.*.layer.*"],
    [...under(["SelfAttention"], ["q", "k", "v", "o"]), ...under(["DenseReluDense"], ["wi", "wi_0", "wi_1", "wo"])],
  ),
];

const LANGUAGE_MODELS = [
  ...under(
    ["model.layers.*"],
    [
      ...under(["self_attn"], ["q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj"]),
      ...under(["mlp"], ["gate_proj", "up_proj", "down_proj", "gate_up_proj"]),
    ],
  ),
  ...under(["transformer.h.*"], ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]),
  "lm_head",
];

const DENOISERS = [...UNET, ...ORIGINAL_UNET, ...TRANSFORMERS];

/** What can follow the start of a flat name, by the part that the start names. */
const PATHS_OF_PARTS: ReadonlyMap<string, readonly string[]> = new Map([
  ["unet", DENOISERS],
  ["transformer", DENOISERS],
  ["prior", DENOISERS],
  ["text_encoder", TEXT_ENCODERS],
  ["text_encoder_2", TEXT_ENCODERS],
  ["text_encoder_3", TEXT_ENCODERS],
  ["", [...LANGUAGE_MODELS, ...DENOISERS, ...TEXT_ENCODERS]],
]);

/** The paths that a flat one can stand for: one for a layer that is known, several where it is ambiguous. */
export function unflatten(component: string, flat: string): string[] {
  const paths = (PATHS_OF_PARTS.get(component) ?? []).flatMap((pattern) => {
    const [, ...numbers] = regexOf(pattern).exec(flat) ?? [];
    return numbers.length === 0 && flat !== pattern.replaceAll(".", "_") ? [] : [fillPath(pattern, numbers)];
  });
  return [...new Set(paths)];
}

const compiled = new Map<string, RegExp>();

function regexOf(pattern: string): RegExp {
  const known = compiled.get(pattern) ?? new RegExp(`^${pattern.replaceAll(".", "_").replaceAll("*", "(\\d+)")}$`);
  compiled.set(pattern, known);
  return known;
}
