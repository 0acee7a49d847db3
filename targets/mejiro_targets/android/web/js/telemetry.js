/** Read memory and battery, where the browser tells them; what it does not tell is absent. */

const PATIENCE_MS = 4000;

export class Telemetry {
  constructor() {
    this._values = {};
    this._peak = 0;
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
   * Read all that there is.
   * @param {() => Promise<number|null>} engineMemory asks the engine
   */
  async read(engineMemory) {
    const [engine, measured, battery] = await Promise.all([
      patient(engineMemory()), patient(wholeMemory()), patient(batteryNow()),
    ]);
    const heap = performance.memory?.usedJSHeapSize;
    if (engine) this._values.engine_memory_bytes = engine;
    if (measured) this._values.memory_bytes = measured;
    else if (heap && engine) this._values.memory_bytes = heap + engine;
    this._peak = Math.max(this._peak, this._values.memory_bytes ?? 0);
    Object.assign(this._values, battery ?? {});
  }
}

/** Bytes of the page and its workers; only an isolated page may ask. */
async function wholeMemory() {
  if (!window.crossOriginIsolated || !performance.measureUserAgentSpecificMemory) return null;
  return (await performance.measureUserAgentSpecificMemory()).bytes;
}

async function batteryNow() {
  const battery = await navigator.getBattery?.();
  if (!battery) return null;
  return { battery_percent: Math.round(100 * battery.level), battery_charging: battery.charging };
}

/** Resolve to null where an answer does not come or cannot. */
async function patient(asked) {
  let timer;
  const late = new Promise((resolve) => { timer = setTimeout(resolve, PATIENCE_MS, null); });
  try {
    return await Promise.race([asked, late]);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}
