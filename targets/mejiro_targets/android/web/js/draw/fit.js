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
  const along = (length, size, [from, to], [before, after]) =>
    placeOf({
      length,
      size: size * scale,
      from: from * scale,
      to: to * scale,
      middle: (before + length - after) / 2,
    });
  return {
    scale,
    x: along(view.width, frame.width, [left, right], [pads.left, pads.right]),
    y: along(view.height, frame.height, [top, bottom], [pads.top, pads.bottom]),
  };
}

/**
 * Return where a picture of `size` starts on a view of `length`: its part from `from` to `to` lies
 * about the `middle`, but wholly on the view, which is filled where the picture is large enough.
 */
function placeOf({ length, size, from, to, middle }) {
  const free = length - size;
  const least = free < 0 ? Math.max(free, -from) : 0;
  const most = free < 0 ? Math.min(0, length - to) : free;
  return Math.min(Math.max(middle - (from + to) / 2, least), most);
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
