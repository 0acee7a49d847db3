/** Run over the golden frames of the site, round and round: no camera, the same pixels anywhere. */

const SHOW_EVERY_MS = 500; // nobody reads faster, and a screen that flickers harms some people

/**
 * Open the golden frames of a model.
 * @param {object} site
 * @param {object} entry one of the site's models
 * @param {HTMLCanvasElement} still
 */
export async function openGolden(site, entry, still) {
  const { file, frames } = entry.golden;
  const answer = await fetch(new URL(file, site.base));
  if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  return new Golden(
    frames.map((frame) => pictureOf(bytes, frame)),
    still,
  );
}

/** Return a frame of `bytes`, BGR, as ImageData. */
function pictureOf(bytes, { offset, height, width }) {
  const picture = new ImageData(width, height);
  const { data } = picture;
  for (let from = offset, to = 0; to < data.length; from += 3, to += 4) {
    data[to] = bytes[from + 2];
    data[to + 1] = bytes[from + 1];
    data[to + 2] = bytes[from];
    data[to + 3] = 255;
  }
  return picture;
}

class Golden {
  constructor(pictures, still) {
    this.kind = "golden";
    this.live = false;
    this.element = still;
    this.dropped = {};
    this.onLost = () => {};
    this.description = "golden frames";
    this._pictures = pictures;
    this._turn = 0;
    this._shown = -Infinity;
    this._stopped = false;
    this._draw(pictures[0]);
  }

  get size() {
    return { width: this.element.width, height: this.element.height };
  }

  async next() {
    if (this._stopped) return null;
    const image = this._pictures[this._turn % this._pictures.length];
    this._turn += 1;
    return { image, captured_ms: performance.now() };
  }

  /** Draw a frame; false if the last one has to stay for a while. */
  show({ image }) {
    if (performance.now() - this._shown < SHOW_EVERY_MS) return false;
    this._shown = performance.now();
    this._draw(image);
    return true;
  }

  stop() {
    this._stopped = true;
  }

  _draw(image) {
    if (this.element.width !== image.width || this.element.height !== image.height) {
      this.element.width = image.width;
      this.element.height = image.height;
    }
    this.element.getContext("2d").putImageData(image, 0, 0);
  }
}
