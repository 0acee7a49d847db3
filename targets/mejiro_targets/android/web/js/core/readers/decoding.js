/**
 * Decode what the heads of detectors give: boxes of the tensor, a score and a class for each, in
 * float32 as `mejiro_runtime.postprocess.decoding` does. Every decoder looks at the scores first.
 */

import { SiteError } from "../errors.js";
import { argmax, dequantized, exp32, fround, sigmoid32 } from "./numbers.js";
import { descending } from "./overlap.js";

// Candidates that suppression looks at: the best ones. Only a broken model has as many objects.
const MAX_CANDIDATES = 1000;

/**
 * @typedef {{boxes: number[][], scores: number[], classes: number[]}} Candidates boxes are left,
 *   top, right, bottom in pixels of the tensor
 */

/** Return the anchors of a card: centre y, centre x, height, width, in shares of the input. */
export function anchorsOf(spec) {
  if (spec.anchors?.length) return spec.anchors.map((anchor) => anchor.map(fround));
  const anchors = [];
  for (const { rows, columns, sizes } of spec.grids ?? []) {
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        for (const [height, width] of sizes) {
          const centre = [(row + 0.5) / rows, (column + 0.5) / columns];
          anchors.push([...centre, height, width].map(fround));
        }
      }
    }
  }
  return anchors;
}

/**
 * Return the places of at most MAX_CANDIDATES scores that reach the threshold, in order. What is
 * not finite is among them, so that it is seen.
 */
function reaching(scores, threshold) {
  const least = fround(threshold);
  const places = [];
  scores.forEach((score, place) => {
    if (!(score < least)) places.push(place);
  });
  if (places.length <= MAX_CANDIDATES) return places;
  const order = descending(places.map((place) => scores[place]));
  return order.slice(0, MAX_CANDIDATES).map((at) => places[at]).sort((a, b) => a - b);
}

/** Hold what decoding needs of a card and of the file's outputs. */
export class Decoder {
  constructor(card, outputs, roles) {
    this._spec = card.output.detection;
    this._roles = roles;
    this._outputs = outputs;
    this._classes = card.labels.length;
    this._background = card.output.background;
    this._logits = card.output.scores === "logits";
    this._size = [card.input.width, card.input.height, card.input.width, card.input.height];
    this._anchors = anchorsOf(this._spec);
    this._decode = DECODERS[this._spec.head];
  }

  /**
   * Return what scores `threshold` or more; SiteError for what is not finite.
   * @returns {Candidates}
   */
  run(raw, threshold) {
    const found = this._decode.call(this, raw, threshold);
    if (!found.scores.every(Number.isFinite) || !found.boxes.flat().every(Number.isFinite)) {
      throw new SiteError("model", "the model gives boxes that are not finite; its file is broken");
    }
    return found;
  }

  /** Return the output of a role as float32. */
  _real(raw, role) {
    const place = this._roles[role];
    return dequantized(raw[place], this._outputs[place]);
  }

  /**
   * Return the best class of a row of scores, `count` values from `at` on, `step` apart, and its
   * probability. The background class takes its part of a softmax, and is never the best.
   */
  _best(values, at, step) {
    const row = new Float32Array(this._classes);
    for (let c = 0; c < this._classes; c += 1) row[c] = values[at + c * step];
    if (this._logits && !this._spec.sigmoid) softmaxInPlace(row);
    if (this._background !== null) row[this._background] = -Infinity;
    const best = argmax(row);
    const score = this._logits && this._spec.sigmoid ? sigmoid32(row[best]) : row[best];
    return [score, best];
  }

  _inPixels(box) {
    return box.map((edge, at) => fround(edge * this._size[at]));
  }
}

function softmaxInPlace(row) {
  const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  for (let at = 0; at < row.length; at += 1) {
    row[at] = exp32(fround(row[at] - most));
    total = fround(total + row[at]);
  }
  for (let at = 0; at < row.length; at += 1) row[at] /= total;
}

/** Outputs of TFLite_Detection_PostProcess: top, left, bottom, right in shares of the input. */
function decodePostprocessed(raw, threshold) {
  const [boxes, classes, scores, counted] = [0, 1, 2, 3].map((role) => this._real(raw, role));
  if (!counted.every(Number.isFinite)) {
    throw new SiteError("model", "the model does not say how many boxes count; its file is broken");
  }
  const count = Math.trunc(Math.min(Math.max(counted[0], 0), scores.length));
  const left = reaching(Array.from(scores.subarray(0, count)), threshold);
  const found = left.map((place) => Math.trunc(classes[place]));
  const strange = found.find((one) => !(one >= 0 && one < this._classes));
  if (strange !== undefined) {
    throw new SiteError("model", `the model sees class ${strange} of ${this._classes} labels`);
  }
  return {
    boxes: left.map((place) =>
      this._inPixels([1, 0, 3, 2].map((edge) => boxes[4 * place + edge])),
    ),
    scores: left.map((place) => scores[place]),
    classes: found,
  };
}

/** Offsets from anchors, and scores: arXiv:1512.02325. */
function decodeSsd(raw, threshold) {
  const values = this._real(raw, 1);
  const rows = this._anchors.map((_, row) => this._best(values, row * this._classes, 1));
  const left = reaching(rows.map(([score]) => score), threshold);
  const offsets = this._real(raw, 0);
  const order = this._spec.x_first ? [1, 0, 3, 2] : [0, 1, 2, 3];
  const boxes = left.map((place) => {
    const [y, x, h, w] = order.map((at, axis) =>
      fround(offsets[4 * place + at] / fround(this._spec.scales[axis])),
    );
    const [centreY, centreX, height, width] = this._anchors[place];
    const middle = [
      fround(fround(y * height) + centreY),
      fround(fround(x * width) + centreX),
    ];
    // Beyond e^20 a side is no side; a broken value is told, not an overflow.
    const halves = [
      fround(fround(exp32(Math.min(h, 20)) * height) / 2),
      fround(fround(exp32(Math.min(w, 20)) * width) / 2),
    ];
    const box = [
      middle[1] - halves[1], middle[0] - halves[0], middle[1] + halves[1], middle[0] + halves[0],
    ];
    return this._inPixels(box.map(fround));
  });
  return {
    boxes,
    scores: left.map((place) => rows[place][0]),
    classes: left.map((place) => rows[place][1]),
  };
}

/** One output, a row or a column a box: centre x and y, width and height, scores. */
function decodeYolo(raw, threshold) {
  const values = this._real(raw, 0);
  const shape = this._outputs[this._roles[0]].shape.slice(-2);
  const objectness = this._spec.head === "yolo_objectness";
  const wide = 4 + objectness + this._classes;
  // (values, N) is the customary form of the one head, (N, values) of the other.
  const turned = objectness ? shape[1] !== wide : shape[0] === wide;
  const count = turned ? shape[1] : shape[0];
  const [next, step] = turned ? [1, count] : [shape[1], 1];
  const least = fround(threshold);
  const found = { places: [], scores: [], classes: [] };
  for (let row = 0; row < count; row += 1) {
    const at = row * next;
    let certain = 1;
    if (objectness) {
      certain = this._logits ? sigmoid32(values[at + 4 * step]) : values[at + 4 * step];
      if (certain < least) continue; // times the score of a class it will not be more
    }
    const [score, best] = this._best(values, at + (4 + objectness) * step, step);
    found.places.push(at);
    found.scores.push(objectness ? fround(score * certain) : score);
    found.classes.push(best);
  }
  const left = reaching(found.scores, threshold);
  return {
    boxes: left.map((one) => yoloBox.call(this, values, found.places[one], step)),
    scores: left.map((one) => found.scores[one]),
    classes: left.map((one) => found.classes[one]),
  };
}

function yoloBox(values, at, step) {
  const [x, y, width, height] = [0, 1, 2, 3].map((place) => values[at + place * step]);
  const box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2].map(fround);
  return this._spec.pixels ? box : this._inPixels(box);
}

const DECODERS = {
  postprocessed: decodePostprocessed,
  ssd: decodeSsd,
  yolo: decodeYolo,
  yolo_objectness: decodeYolo,
};
