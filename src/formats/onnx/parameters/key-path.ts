/**
 * Names of constants → paths of parameters as the training framework saw them, where the name is one.
 *
 * PyTorch's exporters keep the names of parameters that they store as they are. ONNX Runtime GenAI's model builder writes
 * `model.layers.0.attn.q_proj.MatMul.weight`, stored [in, out], and names of its own for attention and norms. Everything
 * else (`onnx::MatMul_15`, `val_0`, `/lm_head/Transpose_output_0`) was made by an exporter and says nothing.
 */

/** At least one module and a parameter, as Python spells names. */
const PARAMETER_PATH = /^[A-Za-z_][\w-]*(?:\.[\w-]+)*\.[A-Za-z_]\w*$/;

/** The model builder's node behind the module: `MatMul`, `Add`, and the quantised forms of a product. */
const BUILDER_SUFFIX = /\.(?:MatMul(?:NBits|_Q\d+)?|Add)\.(?=\w+$)/;

/** Whether a model builder's hand shows in the names. */
export function isBuilderName(name: string): boolean {
  return BUILDER_SUFFIX.test(name) && PARAMETER_PATH.test(name);
}

/** The path that a name is; `undefined` for names that exporters made up. */
export function parameterPathOf(name: string, fromBuilder: boolean): string | undefined {
  if (!PARAMETER_PATH.test(name)) return undefined;
  return trainedPath(fromBuilder ? name.replace(BUILDER_SUFFIX, ".") : name, fromBuilder);
}

/** The path without what PEFT wraps around models and layers, and with the model builder's names as transformers has them. */
export function trainedPath(path: string, fromBuilder: boolean): string {
  const unwrapped = path.replace(/(^|\.)base_model\.model\./, "$1").replace(/\.base_layer\./, ".");
  if (!fromBuilder) return unwrapped;
  return unwrapped
    .replace(/^model\.layers\.\d+\.final_norm_layernorm\./, "model.norm.")
    .replace(/(\.layers\.\d+\.)attn\./, "$1self_attn.")
    .replace(/\.([qk]_norm)\.layernorm\./, ".$1.");
}
