/**
 * Paths of the same layers in two namings, as patterns: `*` stands for one number.
 */

export type PathPair = readonly [original: string, diffusers: string];

/** Layers that one naming has as one and the other as several: the rows of the parts on top of each other. */
export interface FusedPaths {
  readonly whole: string;
  readonly parts: readonly string[];
  /** Relative numbers of rows. */
  readonly shares: readonly number[];
}

/** The numbers of a path that fits the pattern; `undefined` for others. */
export function matchPath(pattern: string, path: string): readonly string[] | undefined {
  const [wanted, given] = [pattern.split("."), path.split(".")];
  if (wanted.length !== given.length) return undefined;
  const numbers: string[] = [];
  for (const [index, segment] of wanted.entries()) {
    const own = given[index] ?? "";
    if (segment === "*" && /^\d+$/.test(own)) numbers.push(own);
    else if (segment !== own) return undefined;
  }
  return numbers;
}

export function fillPath(pattern: string, numbers: readonly string[]): string {
  let next = 0;
  return pattern.replace(/\*/g, () => numbers[next++] ?? "*");
}
