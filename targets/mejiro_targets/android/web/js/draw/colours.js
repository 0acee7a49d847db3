/** Give each class the colour that the runtime's overlay gives it, and ink that reads on it. */

const GOLDEN_ANGLE = 0.381966; // of a turn: neighbouring classes get hues far apart
const SATURATION = 0.72;
const VALUE = 0.86;

/**
 * Return the colour of class `index` as [red, green, blue], 0..255: the same in every frame and
 * every run, here and on a device (`mejiro_runtime.sinks.overlay.colour_of`).
 * @param {number} index
 */
export function colourOf(index) {
  const turn = 6 * ((0.58 + index * GOLDEN_ANGLE) % 1);
  const sector = Math.floor(turn);
  const part = turn - sector;
  const low = VALUE * (1 - SATURATION);
  const falls = VALUE * (1 - SATURATION * part);
  const rises = VALUE * (1 - SATURATION * (1 - part));
  const channels = [
    [VALUE, rises, low],
    [falls, VALUE, low],
    [low, VALUE, rises],
    [low, falls, VALUE],
    [rises, low, VALUE],
    [VALUE, low, falls],
  ][sector % 6];
  return channels.map((channel) => Math.round(255 * channel));
}

/** @param {number[]} colour */
export function css([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

/**
 * Return black or white, whichever stands out more on `colour` (WCAG's relative luminance).
 * @param {number[]} colour
 */
export function inkOn(colour) {
  const [red, green, blue] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return luminance > 0.179 ? "#000" : "#fff";
}
