/** Numbers as float32 holds them: outputs made real, exponentials, and which is the best. */

import { SiteError } from "../errors.js";

export const { fround } = Math;

/**
 * Return real numbers, float32, of a raw output; integers are read through their scale.
 * @param {Float32Array|Uint8Array|Int8Array|Int32Array} raw
 * @param {{quantization: {scale: number, zero_point: number}|null, name: string}} info
 * @returns {Float32Array}
 */
export function dequantized(raw, info) {
  if (raw instanceof Float32Array) return raw;
  if (!info.quantization) {
    throw new SiteError("model", `the output ${info.name} states no scale; export it again`);
  }
  const zero = fround(info.quantization.zero_point);
  const scale = fround(info.quantization.scale);
  const values = new Float32Array(raw.length);
  for (let at = 0; at < raw.length; at += 1) values[at] = fround(fround(raw[at]) - zero) * scale;
  return values;
}

/** Return e to the power of x, as float32. */
export function exp32(x) {
  return fround(Math.exp(x));
}

/** Return 1 / (1 + exp(-x)) as float32, without overflow. */
export function sigmoid32(x) {
  const small = exp32(-Math.abs(x));
  return fround((x >= 0 ? 1 : small) / fround(1 + small));
}

/** Return the place of the first of the largest values; as in numpy, a NaN is larger than all. */
export function argmax(values, from = 0, to = values.length) {
  let best = from;
  for (let at = from; at < to; at += 1) {
    if (Number.isNaN(values[at])) return at;
    if (values[at] > values[best]) best = at;
  }
  return best;
}

/** Return the product of a shape's sizes. */
export function product(shape) {
  return shape.reduce((total, size) => total * size, 1);
}
