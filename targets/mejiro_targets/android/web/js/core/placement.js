/**
 * Work out which region of a frame lands where in the tensor: `mejiro_runtime.preprocess.place`,
 * to the last pixel.
 */

/**
 * @typedef {{height: number, width: number, order: string, resize: string, crop_fraction: number,
 *   pad_value: number, interpolation: string, scale: number[], offset: number[], dtype: string,
 *   quantization: {scale: number, zero_point: number}|null, layout: string}} InputSpec
 * @typedef {{x: number, y: number, width: number, height: number, halveX: number, halveY: number,
 *   left: number, top: number, innerWidth: number, innerHeight: number}} Placement
 *   The region (x, y, width, height) of the frame is halved `halveX` and `halveY` times, then
 *   resized to (innerWidth, innerHeight) at (left, top) of the tensor.
 */

/**
 * Round to the nearest whole number, halves to the even one, as Python's `round` does.
 * @param {number} value
 */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Count how often `size` can be halved before it would fall below `target`. */
function halvings(size, target) {
  let count = 0;
  while (size >= 2 * target * 2 ** count) count += 1;
  return count;
}

/**
 * @param {InputSpec} spec
 * @param {number} height of the frame
 * @param {number} width of the frame
 * @returns {Placement}
 */
export function place(spec, height, width) {
  let [outWidth, outHeight] = [spec.width, spec.height];
  let [regionWidth, regionHeight, left, top] = [width, height, 0, 0];
  if (spec.resize === "crop") {
    const fitWidth = Math.min(width, (height * spec.width) / spec.height);
    const fitHeight = Math.min(height, (width * spec.height) / spec.width);
    regionWidth = Math.max(1, Math.trunc(fitWidth * spec.crop_fraction));
    regionHeight = Math.max(1, Math.trunc(fitHeight * spec.crop_fraction));
  } else if (spec.resize === "letterbox") {
    const ratio = Math.min(spec.width / width, spec.height / height);
    outWidth = Math.min(spec.width, Math.max(1, roundHalfEven(width * ratio)));
    outHeight = Math.min(spec.height, Math.max(1, roundHalfEven(height * ratio)));
    left = Math.floor((spec.width - outWidth) / 2);
    top = Math.floor((spec.height - outHeight) / 2);
  }
  const halveX = halvings(regionWidth, outWidth);
  const halveY = halvings(regionHeight, outHeight);
  regionWidth -= regionWidth % 2 ** halveX;
  regionHeight -= regionHeight % 2 ** halveY;
  return {
    x: Math.floor((width - regionWidth) / 2),
    y: Math.floor((height - regionHeight) / 2),
    width: regionWidth,
    height: regionHeight,
    halveX,
    halveY,
    left,
    top,
    innerWidth: outWidth,
    innerHeight: outHeight,
  };
}

/**
 * Bring boxes of the tensor, left, top, right, bottom in its pixels, to pixels of a frame.
 * @param {ArrayLike<number>[]} boxes
 * @param {InputSpec} spec
 * @param {number} height of the frame
 * @param {number} width of the frame
 * @returns {number[][]}
 */
export function toFrame(boxes, spec, height, width) {
  const where = place(spec, height, width);
  const scale = [where.width / where.innerWidth, where.height / where.innerHeight];
  const start = [where.left, where.top];
  const offset = [where.x, where.y];
  return boxes.map((box) =>
    [0, 1, 2, 3].map((at) => (box[at] - start[at % 2]) * scale[at % 2] + offset[at % 2]),
  );
}
