/**
 * Resize pixels exactly, as `mejiro_runtime.kernels` defines it: an output pixel is the sum of four
 * neighbours, each weighted by the product of an 8-bit horizontal and an 8-bit vertical fraction,
 * rounded half up once. Only integers take part.
 */

import { roundHalfEven } from "./placement.js";

/**
 * @typedef {{data: Uint8Array|Uint8ClampedArray, stride: number, step: number, channels: number[]}}
 *   Pixels `stride` and `step` are the bytes from a row to the next and from a pixel to the next;
 *   `channels` are the places of the wanted values in a pixel
 */

/**
 * Return left neighbour, right neighbour and 8-bit weight of the right one, by output place.
 * @param {number} sizeIn
 * @param {number} sizeOut
 */
export function taps(sizeIn, sizeOut) {
  const left = new Int32Array(sizeOut);
  const right = new Int32Array(sizeOut);
  const weight = new Int32Array(sizeOut);
  // By way of its inverse, as the runtime has it: now and then the last bit of it decides.
  const ratio = 1 / (sizeOut / sizeIn);
  for (let at = 0; at < sizeOut; at += 1) {
    const where = (at + 0.5) * ratio - 0.5;
    const below = Math.floor(where);
    const outside = below < 0 || below >= sizeIn - 1;
    weight[at] = outside ? 0 : roundHalfEven((where - below) * 256);
    left[at] = Math.min(Math.max(below, 0), sizeIn - 1);
    right[at] = Math.min(Math.max(below + 1, 0), sizeIn - 1);
  }
  return { left, right, weight };
}

/**
 * Halve a region along one axis or both: means of neighbouring pixels, rounded half up.
 * @param {Pixels} from
 * @param {number} start place of the region's first byte
 * @param {Uint8Array} out the wanted channels of each pixel, side by side
 * @param {{width: number, height: number, halveX: boolean, halveY: boolean}} size of the result
 */
export function halve(from, start, out, { width, height, halveX, halveY }) {
  const { data, stride, step, channels } = from;
  const across = halveX ? step : 0;
  const down = halveY ? stride : 0;
  const count = channels.length;
  // With one axis alone each pixel counts twice: (2a + 2b + 2) >> 2 is (a + b + 1) >> 1.
  for (let y = 0; y < height; y += 1) {
    const row = start + y * (stride + down);
    let to = y * width * count;
    for (let x = 0; x < width; x += 1) {
      const at = row + x * (step + across);
      for (let c = 0; c < count; c += 1) {
        const p = at + channels[c];
        out[to] = (data[p] + data[p + across] + data[p + down] + data[p + down + across] + 2) >> 2;
        to += 1;
      }
    }
  }
}

/**
 * Halve a region of four-byte pixels along both axes, as `halve` does, all four bytes at once: two
 * of them lie in the lanes of one number, and a sum of four bytes fits 16 bits.
 * @param {Uint32Array} from
 * @param {number} start place of the region's first pixel
 * @param {number} stride pixels from a row to the next
 * @param {Uint32Array} out
 * @param {{width: number, height: number}} size of the result
 */
export function halvePacked(from, start, stride, out, { width, height }) {
  for (let y = 0, to = 0; y < height; y += 1) {
    let top = start + 2 * y * stride;
    for (let x = 0; x < width; x += 1, to += 1, top += 2) {
      const [a, b, c, d] = [from[top], from[top + 1], from[top + stride], from[top + stride + 1]];
      const even = (a & 0xff00ff) + (b & 0xff00ff) + (c & 0xff00ff) + (d & 0xff00ff) + 0x20002;
      const odd =
        ((a >>> 8) & 0xff00ff) + ((b >>> 8) & 0xff00ff) +
        ((c >>> 8) & 0xff00ff) + ((d >>> 8) & 0xff00ff) + 0x20002;
      out[to] = ((even >>> 2) & 0xff00ff) | (((odd >>> 2) & 0xff00ff) << 8);
    }
  }
}

/** Hold what resizing regions of one size to one other size needs again for each frame. */
export class Resizer {
  /**
   * @param {{width: number, height: number}} from
   * @param {{width: number, height: number}} to
   * @param {Pixels} like of what pixels; only its layout counts
   */
  constructor(from, to, like) {
    this._down = taps(from.height, to.height);
    this._across = taps(from.width, to.width);
    this._from = from;
    this._to = to;
    this._channels = like.channels;
    this._step = like.step;
    // A row between the two passes: 255 * 256 fits 16 bits.
    this._row = new Uint16Array(from.width * like.channels.length);
    const count = like.channels.length;
    this._left = this._across.left.map((place) => place * count);
    this._right = this._across.right.map((place) => place * count);
  }

  /**
   * Write the region that begins at byte `start`, resized, to `out`: (height, width, channels).
   * @param {Uint8Array|Uint8ClampedArray} data
   * @param {number} start
   * @param {number} stride
   * @param {Uint8Array} out
   */
  run(data, start, stride, out) {
    const { left, right, weight } = this._down;
    const bytes = this._to.width * this._channels.length;
    for (let y = 0; y < this._to.height; y += 1) {
      this._mixRows(data, start + left[y] * stride, start + right[y] * stride, weight[y]);
      this._mixColumns(out, y * bytes);
    }
  }

  /** Write the weighted sum of two rows to the row between the passes. */
  _mixRows(data, top, bottom, weight) {
    const row = this._row;
    const [width, step, channels] = [this._from.width, this._step, this._channels];
    const rest = 256 - weight;
    if (channels.length !== 3) {
      for (let x = 0; x < width; x += 1) {
        row[x] = data[top + x * step] * rest + data[bottom + x * step] * weight;
      }
      return;
    }
    const [a, b, c] = channels;
    for (let x = 0, to = 0; x < width; x += 1, to += 3, top += step, bottom += step) {
      row[to] = data[top + a] * rest + data[bottom + a] * weight;
      row[to + 1] = data[top + b] * rest + data[bottom + b] * weight;
      row[to + 2] = data[top + c] * rest + data[bottom + c] * weight;
    }
  }

  /** Write the weighted sums along the row between the passes to `out`, from place `to` on. */
  _mixColumns(out, to) {
    const [row, left, right, weight] = [this._row, this._left, this._right, this._across.weight];
    const width = this._to.width;
    if (this._channels.length !== 3) {
      for (let x = 0; x < width; x += 1) {
        const w = weight[x];
        out[to + x] = (row[left[x]] * (256 - w) + row[right[x]] * w + 32768) >> 16;
      }
      return;
    }
    for (let x = 0; x < width; x += 1, to += 3) {
      const [l, r, w] = [left[x], right[x], weight[x]];
      const rest = 256 - w;
      out[to] = (row[l] * rest + row[r] * w + 32768) >> 16;
      out[to + 1] = (row[l + 1] * rest + row[r + 1] * w + 32768) >> 16;
      out[to + 2] = (row[l + 2] * rest + row[r + 2] * w + 32768) >> 16;
    }
  }
}
