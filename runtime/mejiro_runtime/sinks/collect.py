"""Keep frames that a model is unsure of, for calibration or labelling on the host.

Nothing is written on the hot path: a thread looks for duplicates, encodes and writes, and frames
that it has no time for are passed over. The folder is bounded, over all runs that fill it.
"""

from __future__ import annotations

import datetime
import operator
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Full, Queue
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mejiro_runtime import opencv
from mejiro_runtime.errors import MejiroError, UsageError
from mejiro_runtime.files import replacing, write_json
from mejiro_runtime.types import Frame, PixelOrder, Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_LIMIT = 200
LIMIT_BYTES = 256_000_000
# Frames that wait to be looked at; each may be megabytes.
WAITING = 2
ROWS, COLUMNS, POINTS = 8, 9, 8
ALIKE_BITS = 5
CLOSE_TIMEOUT_S = 5.0
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONFIDENCE = re.compile(r"confidence\s*(<=|>=|<|>)\s*(0|1|[01]?\.[0-9]{1,6})", re.ASCII)
_DISAGREE = re.compile(r"disagree:([^,\s]+),([^,\s]+)")
_NAME = re.compile(r"([0-9a-f]{16})\.png")


class Confidence(NamedTuple):
    """Ask for frames whose best answer has a score on one side of `limit`."""

    comparison: str
    limit: float

    def matches(self, result: Result) -> bool:
        """Say whether `result` is one; where nothing was found, the confidence is 0."""
        scores = [one.score for one in (result.boxes or result.top)]
        return _OPERATORS[self.comparison](max(scores, default=0.0), self.limit)


class Disagreement(NamedTuple):
    """Ask for frames of which two artifacts of the bundle have different first answers."""

    one: str
    other: str

    def matches(self, result: Result) -> bool:
        """Let all through: only a second inference can tell, in the collector's thread."""
        return True


def parse_condition(text: str) -> Confidence | Disagreement:
    """Read ``confidence<0.5`` or ``disagree:int8,fp32``; raises UsageError."""
    if found := _CONFIDENCE.fullmatch(text.strip()):
        limit = float(found[2])
        if limit <= 1:
            return Confidence(found[1], limit)
    elif found := _DISAGREE.fullmatch(text.strip()):
        return Disagreement(found[1], found[2])
    raise UsageError(
        f"'{text}' is no condition; write 'confidence<0.5' with a number of 0 to 1, or "
        "'disagree:int8,fp32' with two artifacts of the bundle or their precisions"
    )


def picture_hash(pixels: NDArray[np.uint8]) -> int:
    """Return 64 bits that pictures which look alike have nearly in common: a difference hash.

    Each bit says whether a field of 8x9 is brighter than its right neighbour. `pixels` is uint8
    (height, width) or (height, width, channels).
    """
    height, width = pixels.shape[:2]
    rows = np.arange(ROWS * POINTS) * height // (ROWS * POINTS)
    columns = np.arange(COLUMNS * POINTS) * width // (COLUMNS * POINTS)
    points = pixels[np.ix_(rows, columns)].astype(np.int32)
    fields = points.reshape(ROWS, POINTS, COLUMNS, POINTS, -1).sum(axis=(1, 3, 4))
    bits = (fields[:, :-1] > fields[:, 1:]).reshape(-1)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


class Collector:
    """Keep at most `limit` frames that meet `condition` in `folder`, as PNG with a JSON beside.

    `second` answers for the other artifact of a Disagreement, and `on_close` is called when it is
    no longer asked; `about` goes into each JSON. What is in the folder from earlier runs counts.
    A folder that cannot be written ends the collecting, not the run.
    """

    def __init__(
        self,
        folder: Path,
        condition: Confidence | Disagreement,
        *,
        when: str,
        limit: int = DEFAULT_LIMIT,
        limit_bytes: int = LIMIT_BYTES,
        second: Callable[[Frame], Result] | None = None,
        about: Mapping[str, Any] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self._cv2 = opencv.load("collecting frames")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.condition, self.when = folder, condition, when
        self.limit, self.limit_bytes = limit, limit_bytes
        self.duplicates = self.passed_over = self.new = 0
        self.error: str | None = None
        self._second, self._about = second, dict(about or {})
        self._on_close = on_close
        kept = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
        self._hashes = [int(path.name[:16], 16) for path in kept]
        self._bytes = sum(path.stat().st_size for path in kept)
        self._full = len(kept) >= limit or self._bytes >= limit_bytes
        self._waiting: Queue[tuple[Frame, Result] | None] = Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="collect", daemon=True)
        self._thread.start()

    @property
    def kept(self) -> int:
        """The frames in the folder, those of earlier runs included."""
        return len(self._hashes)

    @property
    def state(self) -> str:
        """What the page shows: that frames are kept, where, which, and how many."""
        text = f"{self.kept} of at most {self.limit} frames where {self.when}, in {self.folder}"
        if self.error is not None:
            return f"{text}; ended: {self.error}"
        return f"{text}; full" if self._full else text

    @property
    def summary(self) -> str:
        """What a run says of it at its end."""
        return (
            f"collected: {self.new} new, {self.state}; {self.duplicates} were like others, "
            f"{self.passed_over} came too fast to be looked at"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "folder": str(self.folder),
            "when": self.when,
            "new": self.new,
            "kept": self.kept,
            "limit": self.limit,
            "bytes": self._bytes,
            "duplicates": self.duplicates,
            "passed_over": self.passed_over,
            "full": self._full,
            "error": self.error,
        }

    def show(self, frame: Frame, result: Result) -> None:
        """Leave a frame that may be worth keeping to the thread, if it has room: see `Sink`."""
        if self._full or not self.condition.matches(result):
            return
        try:
            self._waiting.put_nowait((frame, result))
        except Full:
            self.passed_over += 1

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._full:
                continue
            try:
                self._consider(*item)
            except (OSError, MejiroError, self._cv2.error) as error:
                self.error = " ".join(str(error).split()) or type(error).__name__
                self._full = True

    def _consider(self, frame: Frame, result: Result) -> None:
        other: Result | None = None
        if self._second is not None:
            other = self._second(frame)
            if _answer(other) == _answer(result):
                return
        value = picture_hash(frame.pixels)
        if any((value ^ known).bit_count() <= ALIKE_BITS for known in self._hashes):
            self.duplicates += 1
            return
        ok, data = self._cv2.imencode(".png", _bgr(frame))
        if not ok:
            raise MejiroError(f"OpenCV cannot write a picture of {frame.pixels.shape}")
        if self._bytes + data.nbytes > self.limit_bytes:
            self._full = True
            return
        self._write(frame, result, other, value, data.tobytes())

    def _write(
        self, frame: Frame, result: Result, other: Result | None, value: int, data: bytes
    ) -> None:
        path = self.folder / f"{value:016x}.png"
        with replacing(path) as beside:
            beside.write_bytes(data)
        taken = datetime.datetime.now(datetime.timezone.utc)
        write_json(
            path.with_name(path.name + ".json"),
            {
                **self._about,
                "when": self.when,
                "taken": taken.isoformat(timespec="seconds"),
                "seen": result.to_json(),
                "other": other and other.to_json(),
            },
        )
        self._hashes.append(value)
        self._bytes += len(data)
        self.new += 1
        self._full = len(self._hashes) >= self.limit

    def close(self) -> None:
        """Write what waits, and end the thread: see `Sink`. May be called again."""
        if not self._thread.is_alive():
            return
        # A queue that is full is being worked on; it ends sooner than the time allowed.
        try:
            self._waiting.put(None, timeout=CLOSE_TIMEOUT_S)
        except Full:
            return
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._on_close is not None and not self._thread.is_alive():
            self._on_close()


def _answer(result: Result) -> int | None:
    """Return the label of the best answer."""
    best = max(result.boxes or result.top, key=lambda one: one.score, default=None)
    return None if best is None else best.label.index


def _bgr(frame: Frame) -> NDArray[np.uint8]:
    """Return the pixels as OpenCV writes them."""
    order = {PixelOrder.RGB: [2, 1, 0], PixelOrder.RGBA: [2, 1, 0, 3]}.get(frame.order)
    pixels = frame.pixels if order is None else frame.pixels[..., order]
    return np.ascontiguousarray(pixels)
