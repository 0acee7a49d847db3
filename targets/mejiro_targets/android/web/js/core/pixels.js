/**
 * Take a frame's pixels at its own size, as sRGB, red first. No canvas scales anything: where one
 * is needed, it has the frame's size.
 */

import { SiteError } from "./errors.js";

const MAX_SIDE = 16384;
const FORMAT = { format: "RGBA", colorSpace: "srgb" };

/** Read pixels, and keep what the next frame needs again. What it returns is overwritten by it. */
export class PixelReader {
  constructor() {
    this._buffer = new Uint8Array(0);
    this._canvas = null;
    this._context = null;
    this._copies = true;
  }

  /**
   * @param {VideoFrame|ImageBitmap|ImageData} frame
   * @returns {Promise<import("./preprocess.js").Frame>}
   */
  async read(frame) {
    if (frame instanceof ImageData) {
      return { data: frame.data, width: frame.width, height: frame.height, order: "rgba" };
    }
    const isVideo = typeof VideoFrame !== "undefined" && frame instanceof VideoFrame;
    const width = isVideo ? frame.displayWidth : frame.width;
    const height = isVideo ? frame.displayHeight : frame.height;
    if (!width || !height || Math.max(width, height) > MAX_SIDE) {
      throw new SiteError("source", `a frame of ${width} x ${height} pixels cannot be read`);
    }
    if (isVideo && this._copies && isPlain(frame)) {
      try {
        return await this._copy(frame, width, height);
      } catch {
        this._copies = false; // this browser, or this camera's format, does not convert
      }
    }
    return this._draw(frame, width, height);
  }

  /** Let the browser convert the frame straight to our buffer. */
  async _copy(frame, width, height) {
    const size = frame.allocationSize(FORMAT);
    if (size !== width * height * 4) throw new RangeError("rows with gaps");
    if (this._buffer.length !== size) this._buffer = new Uint8Array(size);
    await frame.copyTo(this._buffer, FORMAT);
    return { data: this._buffer, width, height, order: "rgba" };
  }

  _draw(frame, width, height) {
    if (this._canvas?.width !== width || this._canvas?.height !== height) {
      this._canvas = new OffscreenCanvas(width, height);
      this._context = this._canvas.getContext("2d", {
        willReadFrequently: true, // keeps the pixels where they are read
        colorSpace: "srgb",
        alpha: false,
      });
      this._context.imageSmoothingEnabled = false;
    }
    this._context.drawImage(frame, 0, 0, width, height);
    const { data } = this._context.getImageData(0, 0, width, height, { colorSpace: "srgb" });
    return { data, width, height, order: "rgba" };
  }
}

/** Say whether a frame is shown as it is stored: neither turned, nor flipped, nor stretched. */
function isPlain(frame) {
  const { visibleRect } = frame;
  return (
    !frame.rotation &&
    !frame.flip &&
    visibleRect?.width === frame.displayWidth &&
    visibleRect?.height === frame.displayHeight
  );
}
