/** Run a model over a source: the newest frame, one at a time, each stage timed. */

import { LatencyRecorder } from "./core/latency.js";

const RECENT = 120;

/**
 * Hold one run. `recorder` has every frame after `warmup`, `recent` the last 120 of them;
 * `elapsed_ns` counts while the run goes.
 */
export class Run {
  /**
   * @param {{model: object, source: object, options: () => {top: number, threshold: number|null},
   *   show: (result: object, frame: object) => void, warmup?: number}} parts
   */
  constructor({ model, source, options, show, warmup = 0 }) {
    this.model = model;
    this.source = source;
    /** What was looked at; a source that is closed no longer knows. */
    this.description = source.description;
    this.recorder = new LatencyRecorder();
    this.recent = [];
    this.frames = 0;
    this.elapsed_ns = 0;
    this._options = options;
    this._show = show;
    this._warmup = warmup;
    this._base = {};
    this._ended = [];
    this._stopped = false;
    /** Called after each frame. */
    this.onFrame = () => {};
  }

  /** Go on until the source ends or `stop`; rejects with what the model raises. */
  async go() {
    let last = performance.now();
    while (!this._stopped) {
      const frame = await this.source.next();
      if (!frame || this._stopped) return;
      const result = await this.model.run(frame.image, this._options());
      if (this._stopped) return;
      const answered = performance.now();
      this._show(result, frame);
      const shown = performance.now();
      this._keep(result, { frame, answered, shown, last });
      last = shown;
      this.onFrame(result);
    }
  }

  /** Frames that the model never saw, by cause, since the first one that counts. */
  get dropped() {
    const counts = {};
    for (const [cause, count] of Object.entries(this.source.dropped)) {
      const left = count - (this._base[cause] ?? 0);
      if (left > 0) counts[cause] = left;
    }
    return counts;
  }

  get framesPerSecond() {
    return this.elapsed_ns ? this.recorder.count / (this.elapsed_ns / 1e9) : null;
  }

  stop() {
    this._stopped = true;
  }

  _keep({ timing }, { frame, answered, shown, last }) {
    this.frames += 1;
    if (this.frames <= this._warmup) {
      this._base = { ...this.source.dropped };
      return;
    }
    const sink_ns = Math.round((shown - answered) * 1e6);
    const age_ns = Math.max(0, Math.round((answered - frame.captured_ms) * 1e6));
    this.elapsed_ns += Math.round((shown - last) * 1e6);
    this.recorder.add(timing, sink_ns, age_ns);
    this.recent.push(timing);
    if (this.recent.length > RECENT) this.recent.shift();
    this._ended.push(shown);
    if (this._ended.length > RECENT) this._ended.shift();
  }

  /** Frames a second over the last ones, or null before the second. */
  get recentRate() {
    const count = this._ended.length;
    if (count < 2) return null;
    return ((count - 1) * 1000) / (this._ended[count - 1] - this._ended[0]);
  }
}
