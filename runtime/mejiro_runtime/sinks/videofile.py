"""Write a video of the frames, with what was seen drawn on them."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

from mejiro_runtime import opencv
from mejiro_runtime.errors import MejiroError, UsageError
from mejiro_runtime.files import replacing
from mejiro_runtime.sinks.overlay import paint
from mejiro_runtime.types import Frame, Result

DEFAULT_RATE = 25.0
LONGEST_SIDE = 1920
QUEUE = 8
MAX_REPEATS = 50  # a camera that was away for an hour leaves no hour of a standing picture

# File ending -> codecs to try in turn. H.264 is what browsers play; few OpenCV wheels write it.
CODECS = {
    ".mp4": ("avc1", "mp4v"),
    ".mov": ("avc1", "mp4v"),
    ".mkv": ("avc1", "mp4v"),
    ".avi": ("MJPG",),
}


class _NothingWrittenError(Exception):
    """Keep an empty file from taking the video's name."""


class VideoFileSink:
    """Write a file that appears whole when the run ends, whatever ends it.

    Drawing and encoding happen in a thread. Of a `live` source frames are left out when that
    falls behind (`dropped` counts them), and those that are written are repeated or left out so
    that the video runs as time did; of any other source each is written once, and waited for.
    """

    def __init__(
        self, path: Path, *, live: bool = False, frames_per_second: float | None = None
    ) -> None:
        self._cv2 = opencv.load("writing a video")
        if path.suffix.lower() not in CODECS:
            raise UsageError(f"a video ends in {', '.join(CODECS)}, found '{path.name}'")
        self._path, self._live = path, live
        self._rate = frames_per_second or DEFAULT_RATE
        self.codec = ""
        self.dropped = self.written = 0
        self._writer: Any = None
        self._size = (0, 0)
        self._began_ns = 0
        self._failure: BaseException | None = None
        self._queue: queue.Queue[tuple[Frame, Result] | None] = queue.Queue(QUEUE)
        self._thread = threading.Thread(target=self._work, name="video", daemon=True)
        self._thread.start()

    def show(self, frame: Frame, result: Result) -> None:
        """See `Sink.show`. Raises what kept the video from being written."""
        if self._failure is not None:
            raise self._failure
        try:
            self._queue.put((frame, result), block=not self._live)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """See `Sink.close`; what was shown is written to the end first."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    @property
    def summary(self) -> str:
        """One line that tells what was written, and with which codec."""
        if not self.written:
            return f"{self._path} was not written: there was no frame"
        wanted = CODECS[self._path.suffix.lower()][0]
        instead = "" if self.codec == wanted else f" (this OpenCV does not write {wanted})"
        left_out = f", {self.dropped} left out" if self.dropped else ""
        return f"{self._path}: {self.written} frames as {self.codec}{instead}{left_out}"

    def _work(self) -> None:
        try:
            with replacing(self._path) as beside:
                self._write_all(beside)
                if not self.written:
                    raise _NothingWrittenError
            return
        except _NothingWrittenError:
            return
        except BaseException as error:  # noqa: BLE001 - `show` or `close` raises it
            self._failure = error
        # Whoever waits to hand over a frame must not wait for ever.
        while self._queue.get() is not None:
            pass

    def _write_all(self, beside: Path) -> None:
        try:
            while (shown := self._queue.get()) is not None:
                frame, result = shown
                pixels = paint(frame, result, longest_side=LONGEST_SIDE)
                if self._writer is None:
                    self._open(beside, pixels.shape[1], pixels.shape[0])
                    self._began_ns = frame.captured_ns
                if pixels.shape[1::-1] != self._size:
                    pixels = self._cv2.resize(pixels, self._size)
                for _ in range(self._times(frame)):
                    self._writer.write(pixels)
                    self.written += 1
        finally:
            if self._writer is not None:
                self._writer.release()

    def _times(self, frame: Frame) -> int:
        """Return how often to write a frame so that the video keeps up with the clock."""
        if not self._live:
            return 1
        due = int((frame.captured_ns - self._began_ns) / 1e9 * self._rate) + 1
        if due - self.written > MAX_REPEATS:
            self._began_ns = frame.captured_ns - int(self.written / self._rate * 1e9)
            return 1
        return max(0, due - self.written)

    def _open(self, beside: Path, width: int, height: int) -> None:
        # Most codecs take pixels by twos.
        self._size = (max(2, width - width % 2), max(2, height - height % 2))
        codecs = CODECS[self._path.suffix.lower()]
        for codec in codecs:
            fourcc = self._cv2.VideoWriter_fourcc(*codec)
            writer = self._cv2.VideoWriter(str(beside), fourcc, self._rate, self._size)
            if writer.isOpened():
                self._writer, self.codec = writer, codec
                return
        raise MejiroError(
            f"this OpenCV writes no {self._path.suffix} video ({', '.join(codecs)}); name an .avi"
        )
