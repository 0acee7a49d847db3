/** Read a segmentation's output: the class of each place, and the share of each class. */

import { SiteError } from "../errors.js";
import { place, toFrame } from "../placement.js";
import { argmax } from "./numbers.js";
import { descending } from "./overlap.js";
import { short } from "./labels.js";

/** Read a segmentation. A record is the uint8 map of classes, row by row. */
export class MaskReader {
  constructor(card, outputs) {
    this.unit = "share of the map";
    this._input = card.input;
    this._labels = card.labels;
    this._background = card.output.background;
    this._indices = card.output.indices;
    [this._size, this._axis] = sizeAndAxis(card, outputs[0]);
    this._limit = card.output.scores === "logits" ? 0 : 0.5;
    const { quantization } = outputs[0];
    if (quantization) this._limit = this._limit / quantization.scale + quantization.zero_point;
  }

  /** Return the class of each place of the map. */
  _classes(raw) {
    if (this._indices) return this._checked(raw);
    if (raw instanceof Float32Array && !raw.every(Number.isFinite)) {
      throw new SiteError("model", "the model's scores are not finite; its file is broken");
    }
    if (this._axis === null) return Uint8Array.from(raw, (score) => Number(score > this._limit));
    return this._axis === 3 ? this._bestOfRows(raw) : this._bestOfPlanes(raw);
  }

  _checked(raw) {
    if (!raw.every((index) => index >= 0 && index < this._labels.length)) {
      throw new SiteError("model", "the model gives classes that have no label; adopt it again");
    }
    return Uint8Array.from(raw);
  }

  _bestOfRows(raw) {
    const classes = this._labels.length;
    const found = new Uint8Array(this._size[0] * this._size[1]);
    for (let at = 0, from = 0; at < found.length; at += 1, from += classes) {
      found[at] = argmax(raw, from, from + classes) - from;
    }
    return found;
  }

  _bestOfPlanes(raw) {
    const pixels = this._size[0] * this._size[1];
    const found = new Uint8Array(pixels);
    const best = raw.slice(0, pixels);
    for (let c = 1; c < this._labels.length; c += 1) {
      for (let at = 0; at < pixels; at += 1) {
        const score = raw[c * pixels + at];
        if (score > best[at]) {
          best[at] = score;
          found[at] = c;
        }
      }
    }
    return found;
  }

  read(outputs, height, width) {
    const { top, bottom, left, right, box } = mapRegion(this._input, this._size, height, width);
    const whole = this._classes(outputs[0]);
    const [rows, columns] = [bottom - top, right - left];
    const classes = new Uint8Array(rows * columns);
    for (let row = 0; row < rows; row += 1) {
      const from = (top + row) * this._size[1] + left;
      classes.set(whole.subarray(from, from + columns), row * columns);
    }
    const counts = new Uint32Array(this._labels.length);
    for (const index of classes) counts[index] += 1;
    if (this._background !== null) counts[this._background] = 0;
    const shares = descending(counts)
      .filter((index) => counts[index])
      .map((index) => ({
        index,
        name: this._labels[index].name,
        share: counts[index] / classes.length,
      }));
    const mask = { classes, width: columns, height: rows, box, shares };
    return { top: [], boxes: null, mask };
  }

  record(outputs) {
    return this._classes(outputs[0]);
  }

  compare(made, recorded) {
    let values = 0;
    for (let at = 0; at < made.length; at += 1) values += made[at] !== recorded[at];
    const name = (map) => short(this._labels[this._most(map)]);
    const [wanted, seen] = [name(recorded), name(made)];
    const answer = this._most(recorded) === this._most(made) ? "" : `${wanted} became ${seen}`;
    return { size: values / made.length, values, total: made.length, answer };
  }

  /** Return the class that has most of a map. */
  _most(map) {
    const counts = new Uint32Array(256);
    for (const index of map) counts[index] += 1;
    return argmax(counts);
  }
}

/**
 * Return the rows and columns of a map that show a frame, and which region of it they show. Where
 * the picture ends within a cell of the map, that cell is among them.
 */
export function mapRegion(spec, size, height, width) {
  const where = place(spec, height, width);
  const top = Math.floor((where.top * size[0]) / spec.height);
  const bottom = Math.ceil(((where.top + where.innerHeight) * size[0]) / spec.height);
  const left = Math.floor((where.left * size[1]) / spec.width);
  const right = Math.ceil(((where.left + where.innerWidth) * size[1]) / spec.width);
  const corners = [
    (left * spec.width) / size[1],
    (top * spec.height) / size[0],
    (right * spec.width) / size[1],
    (bottom * spec.height) / size[0],
  ];
  return { top, bottom, left, right, box: toFrame([corners], spec, height, width)[0] };
}

/** Return the map's [height, width] and the axis of the classes, null if it has none. */
function sizeAndAxis(card, { shape }) {
  const labels = card.labels.length;
  const single = card.output.indices || labels === 2;
  if (shape.length === 3 && single) return [[shape[1], shape[2]], null];
  if (shape.length === 4 && (shape[1] === 1 || shape[3] === 1) && single) {
    return [shape[3] === 1 ? shape.slice(1, 3) : shape.slice(2, 4), null];
  }
  const fits = shape.length === 4 && !card.output.indices;
  if (fits && shape[3] === labels) return [shape.slice(1, 3), 3];
  if (fits && shape[1] === labels) return [shape.slice(2, 4), 1];
  throw new SiteError("model", `${card.file} gives ${shape}, which is no map for ${labels} labels`);
}
