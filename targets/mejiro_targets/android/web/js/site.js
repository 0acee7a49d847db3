/** Load site.json, the one file that says what this site is. */

/**
 * @returns {Promise<object>} the parsed site.json with `base`, the URL of its folder
 */
export async function loadSite() {
  const base = new URL(".", document.baseURI).href;
  const answer = await fetch(new URL("site.json", base), { cache: "no-cache" });
  if (!answer.ok) throw new Error(`site.json: ${answer.status} ${answer.statusText}`.trim());
  const site = await answer.json();
  if (site.schema !== 1) throw new Error(`site.json has schema ${site.schema}, this page reads 1`);
  if (!site.models?.length) throw new Error("site.json names no model");
  return { ...site, base };
}

/**
 * Return the part of a frame that the model sees, [left, top, right, bottom] in its pixels: of a
 * crop the centred region, otherwise all of it.
 * @param {object} input the card's input specification
 * @param {number} width
 * @param {number} height
 */
export function seenRegion(input, width, height) {
  if (input.resize !== "crop") return [0, 0, width, height];
  const fraction = input.crop_fraction ?? 1;
  const across = Math.max(
    1,
    Math.floor(Math.min(width, (height * input.width) / input.height) * fraction),
  );
  const down = Math.max(
    1,
    Math.floor(Math.min(height, (width * input.height) / input.width) * fraction),
  );
  const left = Math.floor((width - across) / 2);
  const top = Math.floor((height - down) / 2);
  return [left, top, left + across, top + down];
}
