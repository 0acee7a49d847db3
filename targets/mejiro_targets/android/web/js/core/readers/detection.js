/** Read a detector: decode its head, keep the best of boxes that overlap, map them back. */

import { SiteError } from "../errors.js";
import { toFrame } from "../placement.js";
import { Decoder } from "./decoding.js";
import { fround, product } from "./numbers.js";
import { area, descending, match, suppress } from "./overlap.js";

// Golden frames tell more if boxes count that would not be shown.
const RECORDED_SHARE = 0.25;
const RECORDED_MOST = 20;
const ROLES = {
  postprocessed: ["boxes", "classes", "scores", "count"],
  ssd: ["boxes", "scores"],
};

/** Read a detector. A record is rows of class, score, left, top, right, bottom, best first. */
export class BoxReader {
  constructor(card, outputs) {
    this.unit = "score of a box";
    this._spec = card.output.detection;
    this._input = card.input;
    this._labels = card.labels;
    const roles = this._spec.roles?.length
      ? this._spec.roles
      : findRoles(card.file, this._spec.head, outputs);
    this._decoder = new Decoder(card, outputs, roles);
  }

  /** Return the boxes of a frame, as they are recorded. */
  _rows(outputs, height, width, threshold) {
    const found = this._decoder.run(outputs, threshold);
    const boxes = toFrame(found.boxes, this._input, height, width);
    const { iou, most } = this._spec;
    const kept =
      this._spec.head === "postprocessed"
        ? descending(found.scores).slice(0, most)
        : suppress(boxes, found.scores, found.classes, { iou, most });
    const limits = [width, height, width, height];
    const rows = [];
    for (const place of kept) {
      const box = boxes[place].map((edge, at) => Math.min(Math.max(edge, 0), limits[at]));
      if (area(box) > 0) {
        rows.push([found.classes[place], found.scores[place], ...box].map(fround));
      }
    }
    return rows;
  }

  read(outputs, height, width, { threshold = null } = {}) {
    const rows = this._rows(outputs, height, width, threshold ?? this._spec.threshold);
    const boxes = rows.map(([index, score, ...box]) => ({
      index,
      name: this._labels[index].name,
      score,
      box,
    }));
    return { top: [], boxes, mask: null };
  }

  record(outputs, height, width) {
    const least = RECORDED_SHARE * this._spec.threshold;
    return this._rows(outputs, height, width, least).slice(0, RECORDED_MOST);
  }

  /**
   * Return the largest change of any box, in score. A box that moved loses of its score what it no
   * longer overlaps; one without a partner has changed by what it is above the least recorded.
   */
  compare(made, recorded) {
    const found = match(recorded, made);
    const gaps = found.pairs.map(([one, other, share]) =>
      Math.max(Math.abs(fround(recorded[one][1] - made[other][1])), recorded[one][1] * (1 - share)),
    );
    const sides = [
      [recorded, found.onlyOne, made],
      [made, found.onlyOther, recorded],
    ];
    for (const [rows, alone, others] of sides) {
      let least = RECORDED_SHARE * this._spec.threshold;
      // It may be the one too many.
      if (others.length >= RECORDED_MOST) least = Math.max(least, others[others.length - 1][1]);
      for (const place of alone) gaps.push(Math.max(0, rows[place][1] - least));
    }
    const values = gaps.filter((gap) => gap > 0).length;
    return { size: Math.max(0, ...gaps), values, total: gaps.length, answer: "" };
  }
}

/** Return the places of a head's outputs, as their shapes and names tell. */
function findRoles(file, head, outputs) {
  if (!ROLES[head]) return [0];
  const places = [...outputs.keys()];
  const shapeOf = (place) => outputs[place].shape;
  const nameOf = (place) => outputs[place].name.toLowerCase();
  const boxes = places.filter((p) => shapeOf(p).length > 2 && shapeOf(p).at(-1) === 4);
  if (head === "ssd" && outputs.length >= 2) {
    const named = boxes.filter((p) => nameOf(p).includes("box"));
    const chosen = named.length ? named : boxes;
    if (chosen.length === 1) return [chosen[0], places.find((p) => p !== chosen[0])];
  }
  const one = places.filter((p) => product(shapeOf(p)) === 1);
  const flat = places.filter((p) => !one.includes(p) && !boxes.includes(p));
  if (boxes.length === 1 && one.length === 1 && flat.length === 2) {
    const pair = classesAndScores(flat.map(nameOf), flat);
    if (pair) return [boxes[0], ...pair, one[0]];
  }
  const roles = ROLES[head].join(", ");
  throw new SiteError("model", `${file} does not tell ${roles} apart; adopt it with --roles`);
}

/** Return which of two places holds classes and which scores, or null if names do not tell. */
function classesAndScores(names, flat) {
  for (const [word, order] of [["class", 0], ["score", 1]]) {
    const told = names.map((name) => name.includes(word));
    if (told[0] !== told[1]) {
      const [first, other] = told[0] ? flat : [flat[1], flat[0]];
      return order === 0 ? [first, other] : [other, first];
    }
  }
  const endOf = (name) => name.split("postprocess").at(-1);
  const ends = Object.fromEntries(names.map((name, at) => [endOf(name), flat[at]]));
  return ":1" in ends && ":2" in ends ? [ends[":1"], ends[":2"]] : null;
}
