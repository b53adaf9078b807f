/** Names of nodes from the paths of layers. */

/** As PyTorch's exporters name nodes, and readers of their graphs look for: `/model/layers.0/self_attn/q_proj/Gemm`. */
export function nodeName(path: string, operator: string): string {
  return `/${path.replace(/\.(?!\d)/g, "/")}/${operator}`;
}
