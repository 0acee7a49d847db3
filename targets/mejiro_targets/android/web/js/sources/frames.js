/** Hand out a video's newest frame, and count those that nobody waited for. */

export const NEWER = "a newer frame came"; // as mejiro_runtime.pipeline words it
export const BUSY = "the page was busy";

/**
 * @typedef {{image: HTMLVideoElement|ImageData|ImageBitmap, captured_ms: number}} Frame
 *   `captured_ms` is on the clock of performance.now()
 */

/** Follow a playing video element, with requestVideoFrameCallback where there is one. */
export class VideoFrames {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.dropped = {};
    this._video = video;
    this._unseen = null;
    this._waiting = null;
    this._presented = null;
    this._ended = false;
    this._exact = "requestVideoFrameCallback" in video;
    this._lastTime = -1;
    this._follow();
  }

  /**
   * Resolve to the newest frame that was not handed out yet, or to null after `stop`.
   * @returns {Promise<Frame|null>}
   */
  next() {
    if (this._ended) return Promise.resolve(null);
    const found = this._unseen;
    this._unseen = null;
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => {
      this._waiting = resolve;
    });
  }

  /** End the stream of frames; whoever waits gets null. */
  stop() {
    this._ended = true;
    this._waiting?.(null);
    this._waiting = null;
    if (this._exact) this._video.cancelVideoFrameCallback(this._handle);
    else cancelAnimationFrame(this._handle);
  }

  _follow() {
    if (this._ended) return;
    this._handle = this._exact
      ? this._video.requestVideoFrameCallback((now, facts) => this._presentedFrame(now, facts))
      : requestAnimationFrame((now) => this._looked(now));
  }

  _presentedFrame(now, { presentedFrames, captureTime, expectedDisplayTime }) {
    const skipped = this._presented === null ? 0 : presentedFrames - this._presented - 1;
    if (skipped > 0) this._count(BUSY, skipped);
    this._presented = presentedFrames;
    // Cameras tell when a frame was captured; of a file it counts when it is to be seen.
    this._came({
      image: this._video,
      captured_ms: captureTime ?? Math.min(now, expectedDisplayTime),
    });
    this._follow();
  }

  _looked(now) {
    const { currentTime, readyState } = this._video;
    if (currentTime !== this._lastTime && readyState >= 2) {
      this._lastTime = currentTime;
      this._came({ image: this._video, captured_ms: now });
    }
    this._follow();
  }

  _came(frame) {
    if (this._waiting) {
      const hand = this._waiting;
      this._waiting = null;
      hand(frame);
      return;
    }
    if (this._unseen) this._count(NEWER, 1);
    this._unseen = frame;
  }

  _count(cause, by) {
    this.dropped[cause] = (this.dropped[cause] ?? 0) + by;
  }
}
