/** Work out how a frame lies on the screen. */

/**
 * @typedef {{scale: number, x: number, y: number}} Fit a frame's pixel (u, v) lies at
 *   (x + u * scale, y + v * scale) of the view
 */

/**
 * Fill the view as far as all that the model sees stays on it; what it does not see may be cut.
 * That part is moved out from under the panels as far as the picture still fills the view.
 * @param {{width: number, height: number}} view
 * @param {{width: number, height: number}} frame
 * @param {number[]} region what the model sees: [left, top, right, bottom] in the frame's pixels
 * @param {{top: number, right: number, bottom: number, left: number}} pads what panels cover
 * @returns {Fit}
 */
export function fitFrame(view, frame, region, pads) {
  const cover = Math.max(view.width / frame.width, view.height / frame.height);
  const contain = Math.min(view.width / frame.width, view.height / frame.height);
  const [left, top, right, bottom] = region;
  const whole = Math.min(view.width / (right - left), view.height / (bottom - top));
  const scale = Math.max(contain, Math.min(cover, whole));
  const middle = (scale * (left + right)) / 2;
  const centre = (scale * (top + bottom)) / 2;
  return {
    scale,
    x: between((pads.left + view.width - pads.right) / 2 - middle, view.width - frame.width * scale),
    y: between((pads.top + view.height - pads.bottom) / 2 - centre, view.height - frame.height * scale),
  };
}

/** Keep a picture's edge where the picture fills the view, or lies wholly on it. */
function between(place, free) {
  return Math.min(Math.max(place, Math.min(0, free)), Math.max(0, free));
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
