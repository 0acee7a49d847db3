/** Open a picture or a video that the user chose. */

import { SourceError } from "./problem.js";
import { VideoFrames } from "./frames.js";

/**
 * Open a file as whatever it is; raises SourceError.
 * @param {File} file
 * @param {{video: HTMLVideoElement, still: HTMLCanvasElement}} elements
 */
export async function openFile(file, { video, still }) {
  if (!file.type.startsWith("video/")) {
    try {
      // The pixels as the file has them, as OpenCV reads them: no colour management.
      const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
      return new Picture(file, bitmap, still);
    } catch (error) {
      if (file.type.startsWith("image/")) throw new SourceError("file", { name: file.name });
    }
  }
  const url = URL.createObjectURL(file);
  try {
    await load(video, url);
  } catch {
    forget(video, url);
    throw new SourceError("file", { name: file.name });
  }
  return new Video(file, video, url);
}

function load(video, url) {
  return new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", () => video.play().then(resolve, reject), { once: true });
    video.addEventListener("error", reject, { once: true });
    video.srcObject = null;
    video.loop = true;
    video.src = url;
  });
}

function forget(video, url) {
  video.pause();
  video.removeAttribute("src");
  video.load();
  URL.revokeObjectURL(url);
}

/** Play a video file in real time, round and round; like a camera it drops what comes too fast. */
class Video {
  constructor(file, video, url) {
    this.kind = "file";
    this.live = true;
    this.element = video;
    this.onLost = () => {};
    this._name = file.name;
    this._url = url;
    this._frames = new VideoFrames(video);
  }

  get size() {
    return { width: this.element.videoWidth, height: this.element.videoHeight };
  }

  get description() {
    return `video ${this._name} ${this.size.width}x${this.size.height}`;
  }

  get dropped() {
    return this._frames.dropped;
  }

  next() {
    return this._frames.next();
  }

  show() {}

  stop() {
    this._frames.stop();
    forget(this.element, this._url);
  }
}

/** Hold one picture: a single frame. */
class Picture {
  constructor(file, bitmap, still) {
    this.kind = "file";
    this.live = false;
    this.element = still;
    this.dropped = {};
    this.onLost = () => {};
    this._name = file.name;
    this._bitmap = bitmap;
    this._given = false;
    this.size = { width: bitmap.width, height: bitmap.height };
    still.width = bitmap.width;
    still.height = bitmap.height;
    still.getContext("2d").drawImage(bitmap, 0, 0);
  }

  get description() {
    return `picture ${this._name} ${this.size.width}x${this.size.height}`;
  }

  async next() {
    if (this._given) return null;
    this._given = true;
    return { image: this._bitmap, captured_ms: performance.now() };
  }

  show() {}

  stop() {
    this._given = true;
    this._bitmap.close();
  }
}
