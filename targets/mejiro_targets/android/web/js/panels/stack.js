/** Draw the latest frames as stacked columns, one colour for each stage. */

import { find } from "../dom.js";
import { ms } from "../figures.js";

export const STACKED = ["capture", "preprocess", "infer", "postprocess"];
const COLUMNS = 120;

/**
 * @param {object[]} timings of the last frames, oldest first
 * @param {import("../words.js").Words} words
 */
export function drawStack(timings, words) {
  const canvas = find("stack");
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  if (!timings.length) return;
  const columns = timings.map((timing) => STACKED.map((stage) => timing[`${stage}_ns`] / 1e6));
  const style = getComputedStyle(document.documentElement);
  const frame = { left: 34, foot: height - 4, head: 8, width, top: topOf(columns) };
  drawAxis(pen, frame, style);
  drawColumns(pen, frame, { columns, style });
  const last = timings[timings.length - 1];
  const parts = STACKED.map(
    (stage) => `${words.of(`stage_${stage}`)} ${ms(last[`${stage}_ns`])} ms`,
  ).join(", ");
  canvas.setAttribute("aria-label", words.of("stackNow", { parts }));
}

/** A rare spike is cut rather than pressing all others flat. */
function topOf(columns) {
  const sums = columns
    .map((stack) => stack.reduce((sum, value) => sum + value, 0))
    .sort((a, b) => a - b);
  return Math.max(0.01, 1.35 * sums[Math.floor(0.97 * (sums.length - 1))]);
}

function niceStep(top, lines) {
  const rough = top / lines;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 2.5, 5].find((factor) => factor * power >= rough) || 10);
}

function drawAxis(pen, { left, foot, head, width, top }, style) {
  const step = niceStep(top, 3);
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (let value = 0; value <= top; value += step) {
    const y = foot - ((foot - head) * value) / top;
    pen.fillStyle = style.getPropertyValue("--line");
    pen.fillRect(left, Math.round(y), width - left, 1);
    pen.fillStyle = style.getPropertyValue("--soft");
    if (y < foot - 3)
      pen.fillText(step < 1 ? value.toFixed(step < 0.1 ? 2 : 1) : String(value), left - 7, y);
  }
}

function drawColumns(pen, { left, foot, head, width, top }, { columns, style }) {
  const wide = (width - left) / COLUMNS;
  const start = width - wide * columns.length;
  const high = (value) => ((foot - head) * value) / top;
  STACKED.forEach((stage, part) => {
    pen.fillStyle = style.getPropertyValue(`--${stage}`);
    columns.forEach((stack, place) => {
      const below = high(
        Math.min(
          top,
          stack.slice(0, part).reduce((sum, value) => sum + value, 0),
        ),
      );
      const tall = Math.min(high(stack[part]), high(top) - below);
      pen.fillRect(start + place * wide, foot - below - tall, wide + 0.4, tall);
    });
  });
}
