/** Work out how a frame lies on the screen. */

/**
 * @typedef {{scale: number, x: number, y: number}} Fit a frame's pixel (u, v) lies at
 *   (x + u * scale, y + v * scale) of the view
 */

/**
 * Fill the view as far as all that the model sees stays on it; what it does not see may be cut.
 * @param {{width: number, height: number}} view
 * @param {{width: number, height: number}} frame
 * @param {number[]} region what the model sees: [left, top, right, bottom] in the frame's pixels
 * @returns {Fit}
 */
export function fitFrame(view, frame, region) {
  const cover = Math.max(view.width / frame.width, view.height / frame.height);
  const contain = Math.min(view.width / frame.width, view.height / frame.height);
  const [left, top, right, bottom] = region;
  const whole = Math.min(view.width / (right - left), view.height / (bottom - top));
  const scale = Math.max(contain, Math.min(cover, whole));
  return {
    scale,
    x: (view.width - frame.width * scale) / 2,
    y: (view.height - frame.height * scale) / 2,
  };
}

/**
 * Return a box of the frame as it lies on the view.
 * @param {Fit} fit
 * @param {number[]} box [left, top, right, bottom]
 */
export function placed(fit, [left, top, right, bottom]) {
  return {
    x: fit.x + left * fit.scale,
    y: fit.y + top * fit.scale,
    width: (right - left) * fit.scale,
    height: (bottom - top) * fit.scale,
  };
}
