/** Answer what the page's thread asks of one model: open it, run it, replay its golden frames. */

import { openBackend } from "./backends/open.js";
import { SiteError } from "./errors.js";
import { fetchBytes } from "./fetching.js";
import { PixelReader } from "./pixels.js";
import { Preprocessor } from "./preprocess.js";
import { makeReader } from "./readers/open.js";
import { answersOf, Memory } from "./recurrence.js";
import { verify } from "./verify.js";

/** Nanoseconds since `start`, a reading of performance.now(). */
function since(start) {
  return Math.round((performance.now() - start) * 1e6);
}

/** Kind of a message -> the method that answers it. */
const ANSWERS = {
  open: "_open", run: "_run", verify: "_verify", reset: "_reset", memory: "_bytes",
};

/** Hold one model of a site in a worker. */
export class Session {
  /** @param {DedicatedWorkerGlobalScope} scope */
  constructor(scope) {
    this._scope = scope;
    this._pixels = new PixelReader();
    this._entry = null;
    this._base = "";
  }

  /** Do what a message asks, and post the answer. */
  async answer(message) {
    try {
      const { value, transfer = [] } = await this[ANSWERS[message.kind]](message);
      this._scope.postMessage({ kind: "done", value }, transfer);
    } catch (error) {
      const code = error instanceof SiteError ? error.code : "engine";
      const text = String(error?.message ?? error).split("\n")[0];
      this._scope.postMessage({ kind: "error", code, message: text });
    }
  }

  _tell(stage, done, total) {
    this._scope.postMessage({ kind: "told", stage, done, total });
  }

  async _open({ base, entry, request }) {
    const start = performance.now();
    this._entry = entry;
    this._base = base;
    // The engine and the model come at the same time.
    const bytes = fetchBytes(new URL(entry.file, base), {
      size: entry.size_bytes,
      sha256: entry.sha256,
      onProgress: (done, total) => this._tell("model", done, total),
    });
    bytes.catch(() => {}); // told where it is awaited, even if the engine fails first
    const tell = (stage, done, total) => this._tell(stage, done, total);
    this._backend = await openBackend({ base, entry, request, bytes, tell });
    const load_ns = since(start);
    this._preprocessor = new Preprocessor(entry.card.input);
    this._memory = new Memory(entry, this._backend);
    this._reader = makeReader(entry.card, answersOf(entry.card, entry.outputs));
    this._tell("first", 0, 1);
    const first = performance.now();
    await this._memory.run(this._preprocessor.tensor);
    this._memory.reset();
    const first_infer_ns = since(first);
    this._tell("first", 1, 1);
    const isolated = Boolean(self.crossOriginIsolated);
    this._info = { ...this._backend.info, isolated, load_ns, first_infer_ns };
    return { value: this._info };
  }

  async _run({ frame, taken_ns, top, threshold }) {
    const taken = performance.now();
    let pixels;
    try {
      pixels = await this._pixels.read(frame);
    } finally {
      frame.close?.();
    }
    const start = performance.now();
    const tensor = this._preprocessor.run(pixels);
    const prepared = performance.now();
    const outputs = await this._memory.run(tensor);
    const inferred = performance.now();
    const { width, height } = pixels;
    const found = this._reader.read(outputs, height, width, { top, threshold });
    const done = performance.now();
    const ns = (from, to) => Math.round((to - from) * 1e6);
    const timing = {
      capture_ns: taken_ns + ns(taken, start),
      preprocess_ns: ns(start, prepared),
      infer_ns: ns(prepared, inferred),
      postprocess_ns: ns(inferred, done),
      frame_to_label_ns: ns(start, done),
    };
    const transfer = found.mask ? [found.mask.classes.buffer] : [];
    return {
      value: { width, height, task: this._entry.card.output.task, ...found, timing },
      transfer,
    };
  }

  async _verify() {
    const value = await verify({
      base: this._base,
      entry: this._entry,
      info: this._info,
      preprocessor: this._preprocessor,
      memory: this._memory,
      reader: this._reader,
      onFrame: (done, total) => this._tell("verify", done, total),
    });
    return { value };
  }

  async _reset() {
    this._memory.reset();
    return { value: null };
  }

  async _bytes() {
    return { value: this._backend.memoryBytes() };
  }
}
