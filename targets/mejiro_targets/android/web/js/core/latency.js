/**
 * Gather timings into distributions by stage, as `mejiro_runtime.latency` does: a percentile is a
 * duration that was measured, the smallest one that at least that share of the frames did not
 * exceed (nearest rank).
 */

export const STAGES = [
  "capture", "preprocess", "infer", "postprocess", "sink", "frame_to_label", "age",
];
const SHARES = { p50_ns: 0.5, p90_ns: 0.9, p95_ns: 0.95, p99_ns: 0.99 };

/**
 * @typedef {{capture_ns: number, preprocess_ns: number, infer_ns: number, postprocess_ns: number,
 *   frame_to_label_ns: number}} Timing nanoseconds of one frame by stage
 * @typedef {{count: number, p50_ns: number, p90_ns: number, p95_ns: number, p99_ns: number,
 *   max_ns: number}} Distribution percentiles of one stage, in nanoseconds
 */

/**
 * Summarise at least one duration.
 * @param {ArrayLike<number>} durations nanoseconds
 * @returns {Distribution}
 */
export function distributionOf(durations) {
  const values = Float64Array.from(durations).sort();
  const found = { count: values.length };
  for (const [name, share] of Object.entries(SHARES)) {
    found[name] = values[Math.max(0, Math.ceil(share * values.length) - 1)];
  }
  found.max_ns = values[values.length - 1];
  return found;
}

/** Collect the timings of the newest `capacity` frames; memory does not grow. */
export class LatencyRecorder {
  /** @param {number} capacity */
  constructor(capacity = 16384) {
    this._capacity = capacity;
    this._columns = STAGES.map(() => new Float64Array(capacity));
    this.count = 0;
  }

  /**
   * Add one frame's timing, what showing it cost, and how old it was when it was answered.
   * @param {Timing} timing
   * @param {number} sink_ns
   * @param {number} age_ns
   */
  add(timing, sink_ns, age_ns) {
    const place = this.count % this._capacity;
    const values = { ...timing, sink_ns, age_ns };
    STAGES.forEach((stage, column) => {
      this._columns[column][place] = values[`${stage}_ns`];
    });
    this.count += 1;
  }

  /** Nanoseconds of each stage, one for each frame that is kept. */
  get durations() {
    const kept = Math.min(this.count, this._capacity);
    return Object.fromEntries(
      STAGES.map((stage, column) => [stage, this._columns[column].subarray(0, kept)]),
    );
  }

  /**
   * Return the distribution of each stage; empty before the first frame.
   * @returns {Object<string, Distribution>}
   */
  summary() {
    if (!this.count) return {};
    return Object.fromEntries(
      Object.entries(this.durations).map(([stage, values]) => [stage, distributionOf(values)]),
    );
  }
}
