/**
 * Paths in the UNet of Stable Diffusion 1, 2 and XL: the original ones of CompVis and Stability (`input_blocks.4.1`) and
 * those of diffusers (`down_blocks.1.attentions.0`), which count levels of three blocks each.
 */

/** The path in diffusers of an original one; `undefined` for what is none. */
export function diffusersUnetPath(path: string): string | undefined {
  const [, side, text, inner, rest = ""] = ORIGINAL_BLOCK.exec(path) ?? [];
  if (side === undefined) return renamed(path, OUTSIDE, 0, 1);
  const number = Number(text);
  if (side === "input_blocks") {
    if (number === 0) return inner === "0" && rest === "" ? "conv_in" : undefined;
    const [level, layer] = [Math.floor((number - 1) / 3), (number - 1) % 3];
    if (rest === ".op") return `down_blocks.${level}.downsamplers.0.conv`;
    return blockPath(`down_blocks.${level}`, layer, inner ?? "", rest);
  }
  const [level, layer] = [Math.floor(number / 3), number % 3];
  if (rest === ".conv") return `up_blocks.${level}.upsamplers.0.conv`;
  return blockPath(`up_blocks.${level}`, layer, inner ?? "", rest);
}

/** The original paths that a path in diffusers may have: an upsampler's depends on what else its block holds. */
export function originalUnetPaths(path: string): string[] {
  const [, side, level, kind, layer, rest = ""] = DIFFUSERS_BLOCK.exec(path) ?? [];
  if (side === undefined || kind === undefined) {
    const [, middle, inner = ""] = /^mid_block\.((?:resnets|attentions)\.\d)(\..*)?$/.exec(path) ?? [];
    const own = MIDDLE.find(([, name]) => name === middle)?.[0];
    if (own === undefined) return [renamed(path, OUTSIDE, 1, 0)].filter((name) => name !== undefined);
    return own === "middle_block.1" ? [own + inner] : originalResnet(own, inner);
  }
  const [first, last] =
    side === "down" ? ["input_blocks", 3 * Number(level) + 3] : ["output_blocks", 3 * Number(level) + 2];
  if (kind === "downsamplers") return [`${first}.${last}.0.op`];
  if (kind === "upsamplers") return [`${first}.${last}.1.conv`, `${first}.${last}.2.conv`];
  const block = `${first}.${3 * Number(level) + Number(layer) + (side === "down" ? 1 : 0)}`;
  return kind === "attentions" ? [`${block}.1${rest}`] : originalResnet(`${block}.0`, rest);
}

const ORIGINAL_BLOCK = /^(input_blocks|output_blocks)\.(\d+)\.(\d)(\..+)?$/;
const DIFFUSERS_BLOCK = /^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)(\..+)?$/;

/** Original and diffusers. */
const OUTSIDE: readonly (readonly [string, string])[] = [
  ["input_blocks.0.0", "conv_in"],
  ["time_embed.0", "time_embedding.linear_1"],
  ["time_embed.2", "time_embedding.linear_2"],
  ["label_emb.0.0", "add_embedding.linear_1"],
  ["label_emb.0.2", "add_embedding.linear_2"],
  ["out.0", "conv_norm_out"],
  ["out.2", "conv_out"],
];

const MIDDLE: readonly (readonly [string, string])[] = [
  ["middle_block.0", "resnets.0"],
  ["middle_block.1", "attentions.0"],
  ["middle_block.2", "resnets.1"],
];

const RESNET: readonly (readonly [string, string])[] = [
  [".in_layers.0", ".norm1"],
  [".in_layers.2", ".conv1"],
  [".emb_layers.1", ".time_emb_proj"],
  [".out_layers.0", ".norm2"],
  [".out_layers.3", ".conv2"],
  [".skip_connection", ".conv_shortcut"],
];

function blockPath(block: string, layer: number, inner: string, rest: string): string | undefined {
  if (inner === "1") return `${block}.attentions.${layer}${rest}`;
  const own = renamed(rest, RESNET, 0, 1);
  return own === undefined ? undefined : `${block}.resnets.${layer}${own}`;
}

function originalResnet(block: string, rest: string): string[] {
  const own = renamed(rest, RESNET, 1, 0);
  return own === undefined ? [] : [block + own];
}

function renamed(
  path: string,
  table: readonly (readonly [string, string])[],
  from: 0 | 1,
  to: 0 | 1,
): string | undefined {
  const [, middle, rest = ""] = /^(middle_block\.\d)(\..+)?$/.exec(path) ?? [];
  const block = MIDDLE.find(([original]) => original === middle)?.[1];
  if (block !== undefined && from === 0) {
    const inner = block.startsWith("attentions") ? rest : renamed(rest, RESNET, 0, 1);
    return inner === undefined ? undefined : `mid_block.${block}${inner}`;
  }
  return table.find((pair) => pair[from] === path)?.[to];
}
