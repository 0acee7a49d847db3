/** Lay the video or picture out on the view, with the overlay over it. */

import { seenRegion } from "../site.js";
import { fitFrame } from "./fit.js";
import { Overlay } from "./overlay.js";

// About what the bar, the answers and the controls cover, in CSS pixels.
const PORTRAIT = { top: 64, right: 0, bottom: 260, left: 0 };
const LANDSCAPE = { top: 0, right: 96, bottom: 0, left: 0 };

/** Hold the view's elements; one of `video` and `still` shows. */
export class Stage {
  /**
   * @param {{video: HTMLVideoElement, still: HTMLCanvasElement,
   *   overlay: HTMLCanvasElement}} elements
   */
  constructor({ video, still, overlay }) {
    this.video = video;
    this.still = still;
    this._overlay = new Overlay(overlay);
    this._source = null;
    this._input = null;
    this._result = null;
    this.markRegion = true;
    new ResizeObserver(() => this.layOut()).observe(overlay);
    video.addEventListener("resize", () => this.layOut());
  }

  /**
   * Show a source, seen by a model with this input specification; null shows nothing.
   * @param {object|null} source
   * @param {object} [input]
   */
  show(source, input = this._input) {
    this._source = source;
    this._input = input;
    this._result = null;
    for (const element of [this.video, this.still]) element.hidden = source?.element !== element;
    this.layOut();
  }

  /** Keep what shows as a still picture, for when its source goes. */
  freeze() {
    const { source, video, still } = { source: this._source, video: this.video, still: this.still };
    if (!source?.size.width) return;
    const { width, height } = source.size;
    if (source.element === video) {
      still.width = width;
      still.height = height;
      still.getContext("2d").drawImage(video, 0, 0);
    }
    const result = this._result;
    this.show({ element: still, size: { width, height } });
    this._result = result;
    this.layOut();
  }

  /** Draw what was found in the frame that shows. */
  draw(result) {
    this._result = result;
    const { width, height } = this._source.size;
    if (width !== this._laid?.width || height !== this._laid?.height) this.layOut();
    else this._drawNow();
  }

  /** Draw the last result again, after a setting changed. */
  redraw() {
    if (this._source) this._drawNow();
  }

  layOut() {
    const view = this._overlay.resize();
    const size = this._source?.size;
    if (!size?.width || !view.width) return;
    this._laid = size;
    this._region = seenRegion(this._input, size.width, size.height);
    this._fit = fitFrame(view, size, this._region, view.width > view.height ? LANDSCAPE : PORTRAIT);
    const { style } = this._source.element;
    style.left = `${this._fit.x}px`;
    style.top = `${this._fit.y}px`;
    style.width = `${size.width * this._fit.scale}px`;
    style.height = `${size.height * this._fit.scale}px`;
    this._drawNow();
  }

  _drawNow() {
    if (!this._fit) return;
    const { width, height } = this._laid;
    const [left, top, right, bottom] = this._region;
    const part = left > 0 || top > 0 || right < width || bottom < height;
    const result = this._result ?? {};
    if (result.mask) result.mask.frame = this._laid;
    this._overlay.draw(result, this._fit, this.markRegion && part ? this._region : null);
  }
}
