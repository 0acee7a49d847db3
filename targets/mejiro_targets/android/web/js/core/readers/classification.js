/** Read a classifier's output: probabilities first, then the best classes. */

import { SiteError } from "../errors.js";
import { argmax, dequantized, fround } from "./numbers.js";
import { short } from "./labels.js";

/** Read a classifier. A record is float32 probabilities (classes,). */
export class ClassReader {
  constructor(card, outputs) {
    this.unit = "probability";
    this._labels = card.labels;
    this._spec = card.output;
    this._info = outputs[0];
  }

  /** Return the probability of each class. */
  _probabilities(raw) {
    const scores = dequantized(raw, this._info);
    if (scores.length !== this._labels.length) {
      throw new SiteError(
        "model",
        `the model gives ${scores.length} scores for ${this._labels.length} labels`,
      );
    }
    if (!scores.every(Number.isFinite)) {
      throw new SiteError("model", "the model's output is not finite; its file is broken");
    }
    return this._spec.scores === "logits" ? softmax(scores) : scores;
  }

  read(outputs, height, width, { top = 5, threshold = null } = {}) {
    const left = Float32Array.from(this._probabilities(outputs[0]));
    const background = this._spec.background;
    if (background !== null) left[background] = -Infinity;
    const wanted = Math.min(top, left.length - (background !== null));
    const best = [];
    for (let taken = 0; taken < wanted; taken += 1) {
      const index = argmax(left);
      const score = left[index];
      if (threshold !== null && score < threshold) break;
      best.push({ index, name: this._labels[index].name, score });
      left[index] = -Infinity;
    }
    return { top: best, boxes: null, mask: null };
  }

  record(outputs) {
    return this._probabilities(outputs[0]);
  }

  compare(made, recorded) {
    let [size, values] = [0, 0];
    for (let at = 0; at < made.length; at += 1) {
      const gap = Math.abs(fround(made[at] - recorded[at]));
      if (gap > 0) values += 1;
      if (gap > size) size = gap;
    }
    const [wanted, seen] = [this._first(recorded), this._first(made)];
    const name = (index) => short(this._labels[index]);
    const answer = wanted === seen ? "" : `${name(wanted)} became ${name(seen)}`;
    return { size, values, total: made.length, answer };
  }

  /** Return the best class, which the background class never is. */
  _first(scores) {
    const left = Float32Array.from(scores);
    if (this._spec.background !== null) left[this._spec.background] = -Infinity;
    return argmax(left);
  }
}

/** Return probabilities of logits. float64 holds the difference of any two float32. */
function softmax(scores) {
  const most = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float64Array.from(scores, (score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, (power) => power / total);
}
