/** Open a camera of the device: the rear one unless another is chosen. */

import { SourceError } from "./problem.js";
import { VideoFrames } from "./frames.js";

const PROBLEMS = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "absent",
  DevicesNotFoundError: "absent",
  NotReadableError: "busy",
  TrackStartError: "busy",
  AbortError: "busy",
};
const PATIENCE_MS = 10000;


/**
 * Open a camera and play it in `video`; raises SourceError.
 * @param {HTMLVideoElement} video
 * @param {{camera: string, resolution: string}} wanted `camera` is a deviceId, "" the rear one
 */
export async function openCamera(video, { camera, resolution }) {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia)
    throw new SourceError("insecure");
  const stream = await ask(camera, resolution);
  video.srcObject = stream;
  video.loop = false;
  try {
    await played(video);
  } catch (error) {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    throw error;
  }
  return new Camera(video, stream);
}

async function ask(camera, resolution) {
  const [width, height] = resolution.split("x").map(Number);
  // The frames as the camera has them: a browser that fits them to the size would resample.
  const size = {
    width: { ideal: width },
    height: { ideal: height },
    resizeMode: { ideal: "none" },
  };
  const which = camera ? { deviceId: { exact: camera } } : { facingMode: { ideal: "environment" } };
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { ...which, ...size },
    });
  } catch (error) {
    // The chosen camera is gone, or has another name since the permission was given anew.
    if (camera && error.name === "OverconstrainedError") return ask("", resolution);
    throw new SourceError(PROBLEMS[error.name] ?? "camera", {
      reason: error.message || error.name,
    });
  }
}

async function played(video) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new SourceError("busy")), PATIENCE_MS);
  });
  const shown = new Promise((resolve) => {
    if (video.readyState >= 2) resolve();
    else video.addEventListener("loadeddata", resolve, { once: true });
  });
  try {
    await Promise.race([Promise.all([video.play(), shown]), late]);
  } catch (error) {
    throw error instanceof SourceError
      ? error
      : new SourceError("camera", { reason: error.message });
  } finally {
    clearTimeout(timer);
  }
}

/** Hold an open camera. */
export class Camera {
  constructor(video, stream) {
    this.kind = "camera";
    this.live = true;
    this.element = video;
    this._stream = stream;
    this._track = stream.getVideoTracks()[0];
    this._frames = new VideoFrames(video);
    /** Called when the camera is taken away. */
    this.onLost = () => {};
    this._track.addEventListener("ended", () => this.onLost());
    this.torchOn = false;
  }

  get size() {
    return { width: this.element.videoWidth, height: this.element.videoHeight };
  }

  /** As reports name it, so that runs of two phones at one resolution compare. */
  get description() {
    return `camera ${this.size.width}x${this.size.height}`;
  }

  get deviceId() {
    return this._track.getSettings().deviceId ?? "";
  }

  get dropped() {
    return this._frames.dropped;
  }

  get hasTorch() {
    return Boolean(this._track.getCapabilities?.().torch);
  }

  /** Switch the torch; resolves to whether it shines. */
  async setTorch(on) {
    try {
      await this._track.applyConstraints({ advanced: [{ torch: on }] });
      this.torchOn = on;
    } catch {
      /* it stays as it was, and the button says so */
    }
    return this.torchOn;
  }

  next() {
    return this._frames.next();
  }

  show() {} // the element plays by itself

  stop() {
    this._frames.stop();
    this._stream.getTracks().forEach((track) => track.stop());
    this.element.srcObject = null;
  }
}

/** Return the cameras, [deviceId, name]; names are there once a camera was allowed. */
export async function listCameras() {
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices
      .filter((device) => device.kind === "videoinput" && device.deviceId)
      .map((device) => [device.deviceId, device.label]);
  } catch {
    return [];
  }
}

/** Whether the user has allowed the camera before, so that it may start without being asked for. */
export async function cameraAllowed() {
  try {
    return (await navigator.permissions.query({ name: "camera" })).state === "granted";
  } catch {
    return false;
  }
}
