/** Show the answers in letters to read at arm's length, and speak them without chattering. */

import { colourOf, css } from "../draw/colours.js";
import { BACKGROUND } from "../draw/overlay.js";
import { find, make, setText } from "../dom.js";
import { percent, short } from "../figures.js";

const STEADY_MS = 1500; // an answer is spoken when it has stayed the best for so long,
const QUIET_MS = 4000; // and this long after the last one

/**
 * Return what a result says as rows, the best first.
 * @param {object} result
 * @param {number} top
 * @returns {{name: string, score: number, text: string, index: number|null}[]}
 */
export function rowsOf(result, top) {
  if (result.mask) {
    return result.mask.shares
      .filter(({ name }) => name.toLowerCase() !== BACKGROUND)
      .slice(0, top)
      .map(({ name, share, index }) => ({ name, score: share, text: percent(share), index }));
  }
  if (result.boxes) return groups(result.boxes).slice(0, top);
  return result.top
    .slice(0, top)
    .map(({ name, score }) => ({ name, score, text: percent(score), index: null }));
}

/** Several boxes of one class are one row, with their number and the best score. */
function groups(boxes) {
  const rows = new Map();
  for (const { index, name, score } of boxes) {
    const row = rows.get(index) ?? { name, score: 0, count: 0, index };
    row.count += 1;
    row.score = Math.max(row.score, score);
    rows.set(index, row);
  }
  return [...rows.values()]
    .sort((one, other) => other.score - one.score)
    .map((row) => ({ ...row, text: row.count > 1 ? `× ${row.count}` : percent(row.score) }));
}

export class Answers {
  /** @param {import("../words.js").Words} words */
  constructor(words) {
    this._words = words;
    this._list = find("labels");
    this._best = "";
    this._since = 0;
    this._spoken = "";
    this._spokenAt = -Infinity;
  }

  /** Take them off the screen. */
  hide() {
    find("answers").hidden = true;
    setText(find("spoken"), "");
    this._best = "";
    this._spoken = "";
  }

  /**
   * Show a result.
   * @param {object} result
   * @param {number} top rows at most
   */
  show(result, top) {
    const rows = rowsOf(result, top);
    find("answers").hidden = false;
    setText(find("answers-title"), this._words.of(result.mask ? "sharesTitle" : "sees"));
    while (this._list.children.length > rows.length) this._list.lastChild.remove();
    rows.forEach((row, place) => fill(this._list.children[place] ?? this._add(), row));
    const nothing = find("nothing");
    nothing.hidden = rows.length > 0;
    if (!rows.length) setText(nothing, this._words.of("nothing"));
    this._speak(rows[0]);
  }

  _add() {
    const item = make("li");
    const line = make("div", undefined, "line");
    const bar = make("div", undefined, "bar");
    const key = make("i", undefined, "key");
    line.append(key, make("span", "", "name"), make("span", "", "score"));
    bar.append(make("i"));
    item.append(line, bar);
    this._list.append(item);
    return item;
  }

  _speak(row) {
    const now = performance.now();
    const best = row?.name ?? "";
    if (best !== this._best) {
      this._best = best;
      this._since = now;
    }
    if (!best || best === this._spoken) return;
    if (now - this._since < STEADY_MS || now - this._spokenAt < QUIET_MS) return;
    this._spoken = best;
    this._spokenAt = now;
    setText(find("spoken"), this._words.of("seesNow", { name: short(row.name), score: row.text }));
  }
}

function fill(item, row) {
  const key = item.querySelector(".key");
  key.hidden = row.index === null;
  if (row.index !== null) key.style.background = css(colourOf(row.index));
  setText(item.querySelector(".name"), short(row.name));
  setText(item.querySelector(".score"), row.text);
  item.querySelector(".bar i").style.width = `${Math.min(100, 100 * row.score)}%`;
}
