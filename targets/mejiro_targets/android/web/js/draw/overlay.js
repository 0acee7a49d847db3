/** Draw on the picture what was found in it: boxes, masks, and what the model sees at all. */

import { colourOf, css, inkOn } from "./colours.js";
import { short } from "../figures.js";
import { placed } from "./fit.js";

export const BACKGROUND = "background";
const MASK_OPACITY = 0.55; // as mejiro_runtime.sinks.overlay
const FONT = "600 15px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const CHIP_HEIGHT = 26;
const CHIP_PAD = 8;
const CORNER = 22;

/** Hold the canvas that lies over the view, and the pixels of the last mask. */
export class Overlay {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this._canvas = canvas;
    this._pen = canvas.getContext("2d");
    this._mask = document.createElement("canvas");
    this._size = { width: 0, height: 0 };
  }

  /** Take the size of the view; returns it, in CSS pixels. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this._canvas;
    const ratio = window.devicePixelRatio || 1;
    this._canvas.width = Math.round(width * ratio);
    this._canvas.height = Math.round(height * ratio);
    this._pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this._size = { width, height };
    return this._size;
  }

  clear() {
    this._pen.clearRect(0, 0, this._size.width, this._size.height);
  }

  /**
   * Draw a result.
   * @param {object} result
   * @param {import("./fit.js").Fit} fit
   * @param {number[]|null} region what to mark as seen by the model, or null
   */
  draw(result, fit, region) {
    this.clear();
    if (result.mask) this._drawMask(result.mask, fit);
    if (region) this._drawCorners(placed(fit, region));
    // The best lies on top.
    for (const found of [...(result.boxes ?? [])].reverse()) this._drawBox(found, fit);
  }

  _drawMask(mask, fit) {
    const { width, height, classes } = mask;
    if (this._mask.width !== width || this._mask.height !== height) {
      this._mask.width = width;
      this._mask.height = height;
    }
    const table = new Uint32Array(256);
    for (const { index, name } of mask.shares) {
      if (name.toLowerCase() === BACKGROUND) continue;
      const [red, green, blue] = colourOf(index);
      table[index] = pixel(red, green, blue, Math.round(255 * MASK_OPACITY));
    }
    const tint = new ImageData(width, height);
    const pixels = new Uint32Array(tint.data.buffer);
    for (let place = 0; place < pixels.length; place += 1) pixels[place] = table[classes[place]];
    this._mask.getContext("2d").putImageData(tint, 0, 0);
    const at = placed(fit, mask.box);
    this._pen.save();
    this._clipTo(fit, mask.frame);
    this._pen.imageSmoothingEnabled = false; // a class is never between two others
    this._pen.drawImage(this._mask, at.x, at.y, at.width, at.height);
    this._pen.restore();
  }

  /** With a letterbox the mask reaches beyond the frame. */
  _clipTo(fit, frame) {
    if (!frame) return;
    const at = placed(fit, [0, 0, frame.width, frame.height]);
    this._pen.beginPath();
    this._pen.rect(at.x, at.y, at.width, at.height);
    this._pen.clip();
  }

  _drawBox(found, fit) {
    const pen = this._pen;
    const colour = colourOf(found.index);
    const at = placed(fit, found.box);
    pen.lineJoin = "round";
    // A dark rim keeps the line visible on any ground.
    for (const [style, wide] of [
      ["rgb(0 0 0 / 55%)", 5],
      [css(colour), 3],
    ]) {
      pen.strokeStyle = style;
      pen.lineWidth = wide;
      pen.beginPath();
      pen.roundRect(at.x, at.y, at.width, at.height, 6);
      pen.stroke();
    }
    this._drawChip(`${short(found.name)} ${Math.round(100 * found.score)}%`, at, colour);
  }

  _drawChip(text, at, colour) {
    const pen = this._pen;
    pen.font = FONT;
    const width =
      Math.min(pen.measureText(text).width, this._size.width - 2 * CHIP_PAD - 4) + 2 * CHIP_PAD;
    const x = Math.max(2, Math.min(at.x - 1, this._size.width - width - 2));
    const above = at.y - CHIP_HEIGHT;
    const y = above >= 2 ? above : Math.max(2, at.y);
    pen.fillStyle = css(colour);
    pen.beginPath();
    pen.roundRect(x, y, width, CHIP_HEIGHT, 6);
    pen.fill();
    pen.fillStyle = inkOn(colour);
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    pen.fillText(text, x + CHIP_PAD, y + CHIP_HEIGHT / 2 + 1, width - 2 * CHIP_PAD);
  }

  _drawCorners({ x, y, width, height }) {
    const pen = this._pen;
    const inset = 3;
    const long = Math.min(CORNER, width / 4, height / 4);
    pen.lineCap = "round";
    for (const [style, wide] of [
      ["rgb(0 0 0 / 45%)", 5],
      ["rgb(255 255 255 / 90%)", 2.5],
    ]) {
      pen.strokeStyle = style;
      pen.lineWidth = wide;
      pen.beginPath();
      for (const [cx, cy, sx, sy] of [
        [x + inset, y + inset, 1, 1],
        [x + width - inset, y + inset, -1, 1],
        [x + inset, y + height - inset, 1, -1],
        [x + width - inset, y + height - inset, -1, -1],
      ]) {
        pen.moveTo(cx + sx * long, cy);
        pen.lineTo(cx, cy);
        pen.lineTo(cx, cy + sy * long);
      }
      pen.stroke();
    }
  }
}

const LITTLE = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

function pixel(red, green, blue, alpha) {
  const bytes = LITTLE ? [red, green, blue, alpha] : [alpha, blue, green, red];
  return ((bytes[3] << 24) | (bytes[2] << 16) | (bytes[1] << 8) | bytes[0]) >>> 0;
}
