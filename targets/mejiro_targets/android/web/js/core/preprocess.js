/**
 * Turn a frame into a model's input tensor: `mejiro_runtime.preprocess` in JavaScript, giving the
 * same bytes. No canvas scales anything here.
 */

import { place, roundHalfEven } from "./placement.js";
import { halve, halvePacked, Resizer } from "./resample.js";

const ARRAYS = { uint8: Uint8Array, int8: Int8Array, float32: Float32Array };
const LIMITS = { uint8: [0, 255], int8: [-128, 127] };
// How many values a pixel has, and where its red, green and blue one stand.
const ORDERS = {
  rgb: { step: 3, places: [0, 1, 2] },
  bgr: { step: 3, places: [2, 1, 0] },
  rgba: { step: 4, places: [0, 1, 2] },
  bgra: { step: 4, places: [2, 1, 0] },
  gray: { step: 1, places: [0] },
};
// ITU-R BT.601 luma in 15-bit fixed point: red, green, blue.
const LUMA = [9798, 19235, 3735];

/**
 * @typedef {import("./placement.js").InputSpec} InputSpec
 * @typedef {{data: Uint8Array|Uint8ClampedArray, width: number, height: number, order: string}}
 *   Frame pixels row by row without gaps; `order` is "rgba", "rgb", "bgra", "bgr" or "gray"
 */

/**
 * Return what each pixel value becomes, channel by channel: 256 values of the tensor's type each.
 * @param {InputSpec} spec
 */
export function tables(spec) {
  const count = spec.order === "gray" ? 1 : 3;
  return Array.from({ length: count }, (_, channel) => {
    const scale = spec.scale[spec.scale.length === 1 ? 0 : channel];
    const offset = spec.offset[spec.offset.length === 1 ? 0 : channel];
    return ARRAYS[spec.dtype].from({ length: 256 }, (_, p) => stored(p * scale + offset, spec));
  });
}

/** Return a real number as the tensor stores it. */
function stored(real, spec) {
  if (spec.dtype === "float32") return real;
  const { scale, zero_point } = spec.quantization ?? { scale: 1, zero_point: 0 };
  const [low, high] = LIMITS[spec.dtype];
  const value = spec.quantization ? real / scale + zero_point : real;
  return Math.min(Math.max(roundHalfEven(value), low), high);
}

/** Hold the steps from frames of one kind to the canvas, a uint8 picture of the tensor's size. */
class Plan {
  constructor(spec, frame) {
    const where = place(spec, frame.height, frame.width);
    const { step, places } = ORDERS[frame.order];
    this._toGray = spec.order === "gray" && places.length === 3;
    const channels = spec.order === "bgr" && places.length === 3 ? [...places].reverse() : places;
    this.where = where;
    this._stride = frame.width * step;
    this._start = where.y * this._stride + where.x * step;
    this._steps = [];
    let size = { width: where.width, height: where.height };
    let like = { stride: this._stride, step, channels };
    for (let done = 0; done < Math.max(where.halveX, where.halveY); done += 1) {
      const [halveX, halveY] = [done < where.halveX, done < where.halveY];
      size = {
        width: halveX ? size.width / 2 : size.width,
        height: halveY ? size.height / 2 : size.height,
      };
      const packed = halveX && halveY && like.step === 4;
      const made = packed ? { step: 4, channels: like.channels } : sideBySide(channels.length);
      const out = new Uint8Array(size.width * size.height * made.step);
      this._steps.push({ packed, like, out, size: { ...size, halveX, halveY } });
      like = { stride: size.width * made.step, ...made };
    }
    const inner = { width: where.innerWidth, height: where.innerHeight };
    this._last = like;
    this._resizer = new Resizer(size, inner, like);
    this.small = new Uint8Array(inner.width * inner.height * channels.length);
    this.channels = this._toGray ? 1 : channels.length;
    this.gray = this._toGray ? new Uint8Array(inner.width * inner.height) : this.small;
    this._luma = spec.order === "gray" && frame.order !== "gray";
  }

  /** Return the frame, resized and in the tensor's order: (innerHeight, innerWidth, channels). */
  run(data) {
    let [from, start] = [data, this._start];
    for (const { packed, like, out, size } of this._steps) {
      if (packed) {
        halvePacked(words(from), start / 4, like.stride / 4, words(out), size);
      } else {
        halve({ ...like, data: from }, start, out, size);
      }
      [from, start] = [out, 0];
    }
    this._resizer.run(from, start, this._last.stride, this.small);
    if (this._luma) toLuma(this.small, this.gray);
    return this.gray;
  }
}

/** Say where the values of pixels stand that have nothing else between them. */
function sideBySide(count) {
  return { step: count, channels: Array.from({ length: count }, (_, c) => c) };
}

/** Return four-byte pixels as numbers. */
function words(data) {
  const aligned = data.byteOffset % 4 ? data.slice() : data;
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 2);
}

/** Write the luma of red, green and blue. */
function toLuma(rgb, out) {
  const [red, green, blue] = LUMA;
  for (let at = 0, p = 0; at < out.length; at += 1, p += 3) {
    out[at] = (rgb[p] * red + rgb[p + 1] * green + rgb[p + 2] * blue + 16384) >> 15;
  }
}

/** Hold what one specification needs again for each frame; the next one overwrites the tensor. */
export class Preprocessor {
  /** @param {InputSpec} spec */
  constructor(spec) {
    this.spec = spec;
    this._tables = tables(spec);
    this._channels = this._tables.length;
    this._planar = spec.layout === "nchw";
    this.tensor = new ARRAYS[spec.dtype](spec.height * spec.width * this._channels);
    this._kind = "";
    this._plan = null;
  }

  /** The tensor's shape, batch of one included. */
  get shape() {
    const { height, width } = this.spec;
    const channels = this._channels;
    return this._planar ? [1, channels, height, width] : [1, height, width, channels];
  }

  /**
   * Return the tensor for a frame.
   * @param {Frame} frame
   */
  run(frame) {
    const kind = `${frame.width}x${frame.height} ${frame.order}`;
    if (kind !== this._kind) this._prepare(frame, kind);
    const small = this._plan.run(frame.data);
    // A gray frame stands for all channels of a coloured tensor.
    const step = this._plan.channels;
    for (let c = 0; c < this._channels; c += 1) this._write(small, c % step, step, c);
    return this.tensor;
  }

  /** Plan for frames of a new kind, and fill what the picture does not cover. */
  _prepare(frame, kind) {
    if (frame.data.length < frame.width * frame.height * ORDERS[frame.order].step) {
      throw new RangeError(`a frame of ${kind} has ${frame.data.length} bytes, too few`);
    }
    this._plan = new Plan(this.spec, frame);
    this._kind = kind;
    this._tables.forEach((table, c) => {
      const pad = table[this.spec.pad_value];
      const [from, by] = this._places(c);
      const pixels = this.spec.height * this.spec.width;
      for (let at = 0; at < pixels; at += 1) this.tensor[from + at * by] = pad;
    });
  }

  /** Return where a channel begins in the tensor, and how far its values are apart. */
  _places(channel) {
    const { height, width } = this.spec;
    return this._planar ? [channel * height * width, 1] : [channel, this._channels];
  }

  /** Write one channel of the picture to its place in the tensor, through its table. */
  _write(small, channel, step, target) {
    const { left, top, innerWidth, innerHeight } = this._plan.where;
    const table = this._tables[target];
    const tensor = this.tensor;
    const [first, by] = this._places(target);
    let from = channel;
    for (let y = 0; y < innerHeight; y += 1) {
      let to = first + ((top + y) * this.spec.width + left) * by;
      for (let x = 0; x < innerWidth; x += 1, from += step, to += by) {
        tensor[to] = table[small[from]];
      }
    }
  }
}
