/** Read memory and battery, where the browser tells them; what it does not tell is absent. */

const PATIENCE_MS = 4000;
// Browsers answer at the next collection of garbage, which may take long: it is not asked often.
const MEASURE_EVERY_MS = 30000;

export class Telemetry {
  constructor() {
    this._values = {};
    this._peak = 0;
    this._measured = null;
    this._measuring = null;
    this._asked = -Infinity;
  }

  /** The last values read. */
  get values() {
    return this._peak ? { ...this._values, peak_memory_bytes: this._peak } : { ...this._values };
  }

  /** Forget the peak, at the start of a run. */
  reset() {
    this._peak = 0;
  }

  /**
   * Read all that there is. The whole memory is read beside, and waited for if `thorough`.
   * @param {() => Promise<number|null>} engineMemory asks the engine
   * @param {{thorough?: boolean}} [options]
   */
  async read(engineMemory, { thorough = false } = {}) {
    this._measure(thorough);
    const [engine, battery] = await Promise.all([
      patient(engineMemory()),
      patient(batteryNow()),
      thorough && patient(this._measuring),
    ]);
    const heap = performance.memory?.usedJSHeapSize;
    if (engine) this._values.engine_memory_bytes = engine;
    // What browsers measure may leave the engine's memory out; then it is the larger sum.
    const memory = Math.max(this._measured ?? 0, heap && engine ? heap + engine : 0);
    if (memory) this._values.memory_bytes = memory;
    this._peak = Math.max(this._peak, this._values.memory_bytes ?? 0);
    Object.assign(this._values, battery ?? {});
  }

  /** Bytes of the page and its workers; only an isolated page may ask. */
  _measure(now) {
    if (!window.crossOriginIsolated || !performance.measureUserAgentSpecificMemory) return;
    if (this._measuring || (!now && performance.now() - this._asked < MEASURE_EVERY_MS)) return;
    this._asked = performance.now();
    this._measuring = performance
      .measureUserAgentSpecificMemory()
      .then(
        ({ bytes }) => {
          this._measured = bytes;
        },
        () => {},
      )
      .finally(() => {
        this._measuring = null;
      });
  }
}

async function batteryNow() {
  const battery = await navigator.getBattery?.();
  if (!battery) return null;
  return { battery_percent: Math.round(100 * battery.level), battery_charging: battery.charging };
}

/** Resolve to null where an answer does not come or cannot. */
async function patient(asked) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, null);
  });
  try {
    return await Promise.race([asked, late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
