"""What tests of several sources share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


class FakeCapture:
    """Stand in for cv2.VideoCapture: `frames` can be grabbed, those in `damaged` not decoded."""

    def __init__(self, frames: int, damaged: range = range(0)) -> None:
        self.frames, self.damaged = frames, damaged
        self.grabbed = self.released = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.frames > 0

    def grab(self) -> bool:
        self.grabbed += 1
        return self.grabbed <= self.frames

    def retrieve(self) -> tuple[bool, Any]:
        if self.grabbed - 1 in self.damaged:
            return False, None
        return True, np.zeros((4, 6, 3), np.uint8)

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def fake_capture() -> type[FakeCapture]:
    return FakeCapture
