"""Make frames out of nothing but numbers, for measuring and for machines without a camera."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from time import perf_counter_ns
from types import TracebackType

import numpy as np

from mejiro_runtime.errors import SourceError, UsageError
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.sources.options import MAX_SIDE, split
from mejiro_runtime.types import Frame, PixelOrder

DISTINCT_FRAMES = 4


def _read_fail(text: str) -> tuple[int, float]:
    match = re.fullmatch(r"([0-9]{1,6})\+([0-9]{1,4}(?:\.[0-9]{1,3})?)", text)
    if match is None or int(match[1]) == 0:
        raise ValueError("FRAMES+SECONDS, such as 90+3")
    return int(match[1]), float(match[2])


class SyntheticSource:
    """Give moving stripes and noise, the same in every run; paced like a camera if `fps` is set.

    Without a pace it gives a frame whenever it is asked, and never ends. With `fail` it is lost
    after so many frames, each time, and cannot be opened for so many seconds: a camera whose cable
    is pulled on cue.
    """

    def __init__(
        self,
        width: int,
        height: int,
        fps: float | None = None,
        fail: tuple[int, float] | None = None,
    ) -> None:
        self.width, self.height, self.fps, self.fail = width, height, fps, fail
        self.live = fps is not None
        pace = "" if fps is None else f" at {fps:g} frames a second"
        self.description = f"synthetic {width}x{height}{pace}"
        self.skipped: list[str] = []
        self._pictures: list[Pixels] = []
        self._away_until_ns = 0

    @classmethod
    def parse(cls, text: str) -> SyntheticSource:
        """Read ``WxH`` or ``WxH@FPS``, and for the latter ``?fail=FRAMES+SECONDS``."""
        text, options = split(text, "synthetic", {"fail": _read_fail})
        match = re.fullmatch(r"(\d{1,5})x(\d{1,5})(?:@(\d{1,4}(?:\.\d{1,3})?))?", text)
        if match is None:
            raise UsageError(f"a synthetic source is synthetic:WxH or WxH@FPS, found '{text}'")
        width, height = int(match[1]), int(match[2])
        fps = None if match[3] is None else float(match[3])
        if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or fps == 0:
            raise UsageError(
                f"'{text}' needs sides of 1 to {MAX_SIDE} and more than 0 frames a second"
            )
        if options and fps is None:
            raise UsageError(f"fail= needs a pace: synthetic:{text}@30?fail=90+3")
        return cls(width, height, fps, options.get("fail"))

    def frames(self) -> Iterator[Frame]:
        """Give frames for ever, or until it is lost on cue."""
        begin, index = perf_counter_ns(), 0
        while True:
            if self.fail and index == self.fail[0]:
                self._away_until_ns = perf_counter_ns() + int(self.fail[1] * 1e9)
                raise SourceError(f"{self.description} was lost after {index} frames, as asked")
            if self.fps is not None:
                due = begin + int(index * 1e9 / self.fps)
                if (wait := due - perf_counter_ns()) > 0:
                    time.sleep(wait / 1e9)
            start = perf_counter_ns()
            pixels = self._pictures[index % len(self._pictures)]
            now = perf_counter_ns()
            yield Frame(pixels, PixelOrder.BGR, index, now, now - start, f"synthetic#{index}")
            index += 1

    def __enter__(self) -> SyntheticSource:
        if perf_counter_ns() < self._away_until_ns:
            raise SourceError(f"{self.description} is away, as asked")
        rng = np.random.default_rng(0)
        across = (np.arange(self.width) % 256).astype(np.uint8)[None, :, None]
        down = (2 * np.arange(self.height) % 256).astype(np.uint8)[:, None, None]
        for step in range(DISTINCT_FRAMES):
            pixels = rng.integers(0, 32, (self.height, self.width, 3), dtype=np.uint8)
            # uint8 sums wrap around at 256, which is what makes the stripes repeat.
            pixels += across
            pixels += down
            pixels += np.uint8(16 * step)
            self._pictures.append(pixels)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pictures = []
