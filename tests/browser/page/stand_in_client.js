/** Stand in for the core's client in tests of the page: answers at once, as `site.stand_in` says. */

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Model {
  constructor(entry, plan, info) {
    this.card = entry.card;
    this.info = info;
    this._plan = plan;
    this._frames = entry.golden.count;
    this._busy = false;
  }

  async run(source, { top }) {
    return this._alone(async () => {
      await delay(this._plan.infer_ms ?? 5);
      if (this._plan.run_error) throw new Error(this._plan.run_error);
      const width = source.videoWidth ?? source.width;
      const height = source.videoHeight ?? source.height;
      const { task } = this.card.output;
      const timing = {
        capture_ns: 1e5,
        preprocess_ns: 4e5,
        infer_ns: 5e6,
        postprocess_ns: 6e4,
        frame_to_label_ns: 546e4,
      };
      const result = { width, height, task, top: [], boxes: null, mask: null, timing };
      if (task === "detection") result.boxes = this._plan.boxes;
      else if (task === "segmentation") result.mask = this._mask(width, height);
      else result.top = this._plan.top.slice(0, top);
      return result;
    });
  }

  _mask(width, height) {
    const { classes, shares } = this._plan.mask;
    return {
      ...classes,
      classes: Uint8Array.from(classes.classes),
      box: [0, 0, width, height],
      shares,
    };
  }

  async verify({ onFrame }) {
    return this._alone(async () => {
      for (let done = 0; done <= this._frames; done += 1) onFrame(done, this._frames);
      window.verifications = (window.verifications ?? 0) + 1;
      if (this._plan.verify_error) throw new Error(this._plan.verify_error);
      return this._plan.verification;
    });
  }

  async memory() {
    return this._alone(async () => 12_000_000);
  }

  close() {}

  async _alone(task) {
    if (this._busy) throw new Error("asked two things at once");
    this._busy = true;
    try {
      return await task();
    } finally {
      this._busy = false;
    }
  }
}

export async function openModel({ site, index, backend, threads, allowFallback, onProgress }) {
  const plan = site.stand_in;
  const entry = site.models[index];
  for (const file of [plan.engine_file, entry.file]) {
    const answer = await fetch(new URL(file, site.base));
    if (!answer.ok) throw new Error(`${file}: ${answer.status}`);
    onProgress({ stage: file === entry.file ? "model" : "engine", done: 1, total: 1 });
  }
  await delay(plan.open_ms ?? 0);
  if (plan.open_error) throw new Error(plan.open_error);
  let fallback = null;
  if (backend === "webgpu") {
    if (!allowFallback) throw new Error("this browser has no WebGPU; ask for wasm");
    fallback = "this browser has no WebGPU";
  }
  const info = {
    engine: "stand-in",
    version: "1.0",
    backend: fallback ? "wasm" : backend,
    variant: "simd",
    threads: threads === "auto" ? 1 : threads,
    isolated: window.crossOriginIsolated,
    load_ns: 20e6,
    first_infer_ns: 9e6,
    requested: backend,
    fallback,
  };
  return new Model(entry, plan, info);
}
