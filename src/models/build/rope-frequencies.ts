/**
 * Rotation frequencies of a head: θ^(−2i/size), changed as the scaling wants (transformers' `modeling_rope_utils.py`).
 *
 * Rounded to f32 where PyTorch rounds: an angle is a position of up to 10⁶ times a frequency, so their last bits count.
 */

import type { RopeDescription, RopeScaling } from "../description.ts";

const { fround } = Math;

/** 2i/size, the powers of θ. */
export function frequencyPowers(size: number): Float32Array {
  return Float32Array.from({ length: Math.ceil(size / 2) }, (_, index) => (2 * index) / size);
}

/** Frequencies of every scaling but `dynamic`, whose own depend on the positions: [⌈size / 2⌉] */
export function ropeFrequencies({ theta, size, scaling }: RopeDescription, isLong: boolean): Float32Array {
  const wavelengths = frequencyPowers(size).map((power) => theta ** power);
  const plain = wavelengths.map((length) => 1 / length);
  switch (scaling.kind) {
    case "default":
    case "dynamic":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      return plain.map((frequency) => llama3(frequency, scaling));
    case "yarn":
      return yarn(wavelengths, { theta, size }, scaling);
    case "longrope": {
      const factors = isLong ? scaling.longFactors : scaling.shortFactors;
      return wavelengths.map((length, index) => 1 / fround(fround(factors[index] ?? 1) * length));
    }
  }
}

/** Long waves are slowed down, short ones stay, those in between are mixed. */
function llama3(frequency: number, scaling: RopeScaling & { readonly kind: "llama3" }): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling;
  const length = fround((2 * Math.PI) / frequency);
  if (length > originalPositions / low) return frequency / factor;
  if (length < originalPositions / high) return frequency;
  const smooth = (originalPositions / length - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** As `llama3`, mixed by a ramp over the dimensions. */
function yarn(
  wavelengths: Float32Array,
  { theta, size }: Pick<RopeDescription, "theta" | "size">,
  scaling: RopeScaling & { readonly kind: "yarn" },
): Float32Array {
  const { factor, betaFast, betaSlow, originalPositions, truncates } = scaling;
  const dimensionOf = (rotations: number) =>
    (size * Math.log(originalPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [dimensionOf(betaFast), dimensionOf(betaSlow)];
  const low = Math.max(truncates ? Math.floor(first) : first, 0);
  const high = Math.min(truncates ? Math.ceil(last) : last, size - 1);
  const width = high === low ? 0.001 : high - low;
  return wavelengths.map((length, index) => {
    const ramp = Math.min(Math.max((index - low) / width, 0), 1);
    return fround(1 / fround(factor * length)) * ramp + fround(1 / length) * (1 - ramp);
  });
}
