"""Count the frames that a run puts out, and keep the newest ones' durations."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

STAGES = ("capture", "preprocess", "infer", "postprocess", "age")
KEPT_FRAMES = 1000
RATE_WINDOW_S = 30.0
MAX_LINE_BYTES = 4 * 1024 * 1024


class Lines:
    """Cut what arrives into lines, and give each to `take`; one that never ends is dropped."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._begun = bytearray()

    def add(self, piece: bytes) -> None:
        """Take in the next bytes."""
        self._begun += piece
        *lines, rest = self._begun.split(b"\n")
        self._begun = rest if len(rest) <= MAX_LINE_BYTES else bytearray()
        for line in lines:
            self._take(line.decode("utf-8", "replace"))


class Frames:
    """Hold how many frames one run has put out, when, and what each took, in nanoseconds."""

    def __init__(self) -> None:
        self.count = 0
        self._newest: deque[dict[str, int]] = deque(maxlen=KEPT_FRAMES)
        self._last_ns: int | None = None
        self._arrived_ns: deque[int] = deque(maxlen=KEPT_FRAMES)

    def take(self, line: str, now_ns: int | None = None) -> None:
        """Take in one line of a run's JSON; what is no frame is passed over."""
        try:
            value = json.loads(line)
            durations = {stage: int(value[f"{stage}_ns"]) for stage in STAGES}
        except (ValueError, KeyError, TypeError):
            return
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        durations["frame_to_label"] = sum(durations[stage] for stage in STAGES[1:4])
        if self._last_ns is not None:
            durations["step"] = now_ns - self._last_ns
        self._last_ns = now_ns
        self._arrived_ns.append(now_ns)
        self.count += 1
        self._newest.append(durations)

    def rate(self, now_ns: int | None = None) -> float | None:
        """Return the frames a second of the last half minute; None before the second frame."""
        now_ns = time.monotonic_ns() if now_ns is None else now_ns
        recent = [at for at in self._arrived_ns if at > now_ns - RATE_WINDOW_S * 1e9]
        if len(recent) < 2:
            return 0.0 if self.count > 1 else None
        return (len(recent) - 1) / ((now_ns - recent[0]) / 1e9)

    def told(self) -> dict[str, Any]:
        """Return what the status says of the frames."""
        names = (*STAGES, "frame_to_label", "step")
        return {
            "frames": self.count,
            "frames_per_second": self.rate(),
            "durations": {
                name: [one[name] for one in self._newest if name in one] for name in names
            },
        }
