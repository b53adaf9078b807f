/**
 * What a layer of an image pipeline is called in the other naming, original or diffusers.
 */

import { type FusedPaths, fillPath, matchPath } from "./path-pairs.ts";
import { FUSED_PATHS, PATH_PAIRS } from "./transformer-names.ts";
import { diffusersUnetPath, originalUnetPaths } from "./unet-names.ts";

/** The same layer, whole, under its other names. */
export function otherPaths(path: string): string[] {
  const unet = diffusersUnetPath(path);
  return [
    ...(unet === undefined ? [] : [unet]),
    ...originalUnetPaths(path),
    ...pairs(path, 0, 1),
    ...pairs(path, 1, 0),
  ];
}

/** The names of an original layer in diffusers, whole; `undefined` for what is not original. */
export function diffusersPath(path: string): string | undefined {
  return diffusersUnetPath(path) ?? pairs(path, 0, 1)[0];
}

/** The original names that a layer of diffusers may have, whole. */
export function originalPaths(path: string): string[] {
  return [...originalUnetPaths(path), ...pairs(path, 1, 0)];
}

export interface FusedParts {
  readonly parts: readonly string[];
  readonly shares: readonly number[];
}

/** The parts of an original layer that diffusers has as several. */
export function partsOf(path: string): FusedParts | undefined {
  for (const { whole, parts, shares } of FUSED_PATHS) {
    const numbers = matchPath(whole, path);
    if (numbers !== undefined) return { parts: parts.map((part) => fillPath(part, numbers)), shares };
  }
  return undefined;
}

/** The original layers that a layer of diffusers may be a part of. */
export function wholesOf(
  path: string,
): readonly (Pick<FusedPaths, "whole" | "parts" | "shares"> & { readonly index: number })[] {
  return FUSED_PATHS.flatMap(({ whole, parts, shares }) =>
    parts.flatMap((part, index) => {
      const numbers = matchPath(part, path);
      if (numbers === undefined) return [];
      const fill = (pattern: string) => fillPath(pattern, numbers);
      return [{ whole: fill(whole), parts: parts.map(fill), shares, index }];
    }),
  );
}

function pairs(path: string, from: 0 | 1, to: 0 | 1): string[] {
  return PATH_PAIRS.flatMap((pair) => {
    const numbers = matchPath(pair[from], path);
    return numbers === undefined ? [] : [fillPath(pair[to], numbers)];
  });
}
