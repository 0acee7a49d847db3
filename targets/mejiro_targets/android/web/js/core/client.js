/**
 * Open a model of a site in a worker, and ask it about one frame at a time.
 *
 * This is the only file of `js/core` that the page's own code needs beside `latency.js` and
 * `report.js`. The page's thread does nothing for a frame but hand it over.
 */

import { SiteError } from "./errors.js";

/**
 * @typedef {{engine: string, version: string, backend: "wasm"|"webgpu", variant: string,
 *   threads: number, isolated: boolean, load_ns: number, first_infer_ns: number,
 *   requested: string, fallback: string|null}} ModelInfo what is truly in use
 * @typedef {{index: number, name: string, score: number}} Class
 * @typedef {{index: number, name: string, score: number, box: number[]}} Found `box` is left, top,
 *   right, bottom in pixels of the frame
 * @typedef {{classes: Uint8Array, width: number, height: number, box: number[],
 *   shares: {index: number, name: string, share: number}[]}} Mask
 * @typedef {{width: number, height: number, task: string, top: Class[], boxes: Found[]|null,
 *   mask: Mask|null, timing: import("./latency.js").Timing}} Result
 * @typedef {HTMLVideoElement|VideoFrame|ImageBitmap|ImageData} Source
 */

/** Hold an open model. One frame at a time: wait for an answer before asking again. */
export class Model {
  /**
   * @param {Worker} worker
   * @param {object} card the artifact's card, with labels
   */
  constructor(worker, card) {
    this._worker = worker;
    this._waiting = null;
    this._closed = null;
    this.card = card;
    /** @type {ModelInfo} */
    this.info = null;
    worker.onmessage = ({ data }) => this._hear(data);
    worker.onerror = (event) => {
      this._end(new SiteError("worker", `the worker failed: ${event.message || "unknown cause"}`));
    };
  }

  /**
   * Return what is in one frame.
   *
   * `top` classes at most, and what scores `threshold` (0..1) or more; null means all of a
   * classifier's, and for a detector what its card says.
   * @param {Source} source
   * @param {{top?: number, threshold?: number|null}} [options]
   * @returns {Promise<Result>}
   */
  async run(source, { top = 5, threshold = null } = {}) {
    const start = performance.now();
    const { frame, transfer } = await handOver(source);
    const taken_ns = Math.round((performance.now() - start) * 1e6);
    try {
      return await this._ask({ kind: "run", frame, taken_ns, top, threshold }, { transfer });
    } finally {
      // What did not change hands is ours to close; cameras stop when their frames are not.
      for (const one of transfer) one.close();
    }
  }

  /**
   * Replay the golden frames; resolves to what `mejiro_runtime.verify` says of a device.
   * @param {{onFrame?: (done: number, total: number) => void}} [options]
   */
  verify({ onFrame = () => {} } = {}) {
    const onTold = ({ done, total }) => onFrame(done, total);
    return this._ask({ kind: "verify" }, { onTold });
  }

  /** Forget the frames before: the next one begins a stream. Only recurrent models remember. */
  reset() {
    return this._ask({ kind: "reset" });
  }

  /** Bytes of the engine's memory, or null if the engine does not tell. */
  memory() {
    return this._ask({ kind: "memory" });
  }

  /** Give back the engine's memory; the model is of no use afterwards. */
  close() {
    this._end(new SiteError("closed", "the model is closed; open it again"));
  }

  _ask(message, { transfer = [], onTold = () => {} } = {}) {
    if (this._closed) return Promise.reject(this._closed);
    if (this._waiting) {
      return Promise.reject(new SiteError("busy", "the model is busy; wait for its last answer"));
    }
    return new Promise((resolve, reject) => {
      this._waiting = { resolve, reject, onTold };
      try {
        this._worker.postMessage(message, transfer);
      } catch (error) {
        this._waiting = null;
        reject(new SiteError("source", `this source cannot be handed over: ${error.message}`));
      }
    });
  }

  _hear(data) {
    const waiting = this._waiting;
    if (data.kind === "told") {
      waiting?.onTold(data);
      return;
    }
    this._waiting = null;
    if (data.kind === "error") waiting?.reject(new SiteError(data.code, data.message));
    else waiting?.resolve(data.value);
  }

  _end(error) {
    this._worker.terminate();
    this._closed = this._closed ?? error;
    this._waiting?.reject(error);
    this._waiting = null;
  }
}

/**
 * Return what the worker is sent of a source, and what changes hands with it. The caller's own
 * frame or picture stays usable.
 * @param {Source} source
 */
async function handOver(source) {
  if (source instanceof ImageData || source instanceof ImageBitmap) {
    return { frame: source, transfer: [] };
  }
  try {
    const frame = await frameOf(source);
    return { frame, transfer: [frame] };
  } catch (error) {
    throw new SiteError("source", `this source gives no frame: ${error.message}`);
  }
}

/** Return a video's present frame, as one that can be given away. */
async function frameOf(source) {
  // Browsers without WebCodecs; a bitmap of a video has its natural size.
  if (typeof VideoFrame === "undefined") return createImageBitmap(source);
  return source instanceof VideoFrame ? source.clone() : new VideoFrame(source);
}

/**
 * Open a model of a site.
 *
 * `site` is the parsed site.json with `base`, the URL of its folder. A request that cannot be met
 * is a SiteError with a `code`, unless `allowFallback`: then `info.fallback` says why it is not
 * what was asked for. `threads` "auto" means as many as help here, 1 where the page is not
 * cross-origin isolated. `variant` "compat" does without relaxed SIMD, as older browsers do.
 *
 * @param {{site: object, index?: number, backend?: "wasm"|"webgpu", threads?: number|"auto",
 *   allowFallback?: boolean, variant?: "compat",
 *   onProgress?: (step: {stage: "engine"|"model"|"compile"|"first", done: number, total: number})
 *     => void}} options
 * @returns {Promise<Model>}
 */
export async function openModel(options) {
  const { site, index = 0, backend = "wasm", threads = "auto", allowFallback = false } = options;
  const { variant } = options;
  const entry = site.models?.[index];
  if (!entry) throw new SiteError("model", `the site has no model ${index}`);
  const worker = new Worker(new URL("worker.js", import.meta.url), { name: "mejiro" });
  const model = new Model(worker, entry.card);
  const request = { backend, threads, variant, allowFallback };
  try {
    model.info = await model._ask(
      { kind: "open", base: String(site.base), entry, request },
      { onTold: options.onProgress },
    );
  } catch (error) {
    model.close();
    throw error;
  }
  return model;
}
