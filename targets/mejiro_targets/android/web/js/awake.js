/** Keep the screen on while the model runs, where the browser can. */
export class Awake {
  constructor() {
    this._lock = null;
    this._wanted = false;
  }

  /** @param {boolean} on */
  async keep(on) {
    this._wanted = on;
    if (!on) {
      const held = this._lock;
      this._lock = null;
      await held?.release();
      return;
    }
    if (this._lock || !navigator.wakeLock || document.hidden) return;
    try {
      const lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => {
        if (this._lock === lock) this._lock = null;
      });
      if (this._wanted) this._lock = lock;
      else await lock.release();
    } catch {
      /* a low battery forbids it; the screen then goes off as it always does */
    }
  }
}
