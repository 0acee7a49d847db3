/**
 * Turn raw outputs into answers: one file per task, each as the one of the same name in
 * `mejiro_runtime.postprocess`.
 *
 * A reader has `unit`; `read(outputs, height, width, {top, threshold})`, which gives
 * `{top, boxes, mask}`; and, for golden frames, `record(outputs, height, width)` and
 * `compare(made, recorded)`, which gives `{size, values, total, answer}`.
 */

import { SiteError } from "../errors.js";
import { ClassReader } from "./classification.js";
import { BoxReader } from "./detection.js";
import { MaskReader } from "./segmentation.js";

const READERS = {
  classification: ClassReader,
  detection: BoxReader,
  segmentation: MaskReader,
};

/**
 * @param {object} card the artifact's card, with labels
 * @param {{name: string, shape: number[], dtype: string,
 *   quantization: {scale: number, zero_point: number}|null}[]} outputs of the served file
 */
export function makeReader(card, outputs) {
  const Reader = READERS[card.output.task];
  if (!Reader) throw new SiteError("model", `this page knows no task '${card.output.task}'`);
  return new Reader(card, outputs);
}
