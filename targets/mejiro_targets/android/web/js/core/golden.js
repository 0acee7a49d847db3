/** Read the golden frames of a site: pictures, tensors and answers in one file. */

import { SiteError } from "./errors.js";
import { fetchBytes } from "./fetching.js";

const ARRAYS = { uint8: Uint8Array, int8: Int8Array, float32: Float32Array };

/** Return a copy of an array of the file: typed arrays want their places aligned. */
function arrayAt(bytes, { offset, dtype, length }) {
  const kind = ARRAYS[dtype];
  const end = offset + length * (kind?.BYTES_PER_ELEMENT ?? 0);
  if (!kind || !(offset >= 0 && end <= bytes.length)) {
    throw new SiteError("golden", "the golden frames of this site are broken; write it again");
  }
  return new kind(bytes.slice(offset, end).buffer);
}

/**
 * Return the golden frames of a model of a site.
 * @param {string} base the URL of the site's folder
 * @param {object} entry the model's entry in site.json
 */
export async function readGolden(base, entry) {
  const { golden } = entry;
  const bytes = await fetchBytes(new URL(golden.file, base), {
    size: golden.size_bytes,
    sha256: golden.sha256,
  });
  const { dtype } = entry.card.input;
  const product = (shape) => shape.reduce((total, size) => total * size, 1);
  return golden.frames.map(({ offset, height, width }, index) => {
    const length = height * width * 3;
    const made = golden.outputs[index];
    const data = arrayAt(bytes, { offset, dtype: "uint8", length });
    return {
      frame: { data, height, width, order: "bgr" },
      input: arrayAt(bytes, {
        offset: golden.inputs[index].offset,
        dtype,
        length: product(golden.input_shape),
      }),
      output: {
        shape: made.shape,
        values: arrayAt(bytes, { ...made, length: product(made.shape) }),
      },
    };
  });
}

/**
 * Return the golden frames as pictures that can be shown, or given to `Model.run`.
 * @returns {Promise<ImageData[]>}
 */
export async function goldenPictures(base, entry) {
  const golden = await readGolden(base, entry);
  return golden.map(({ frame }) => {
    const picture = new ImageData(frame.width, frame.height);
    const { data } = picture;
    for (let at = 0, from = 0; at < data.length; at += 4, from += 3) {
      for (let c = 0; c < 3; c += 1) data[at + c] = frame.data[from + 2 - c];
      data[at + 3] = 255;
    }
    return picture;
  });
}
