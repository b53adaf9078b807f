/**
 * Tensors that a model holds beside its weights and that follow from its configuration: older versions of transformers
 * stored them, exporters still do.
 */

const DERIVED =
  /(?:^|\.)(?:rotary_emb\.\w*inv_freq|embed_tokens\.embed_scale|(?:attn|attention)\.(?:bias|masked_bias))$/;

export function isDerivedBuffer(name: string): boolean {
  return DERIVED.test(name);
}
