"""A window shows frames, ends the run when it is closed, and says why it cannot be opened."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro_runtime import opencv
from mejiro_runtime.errors import EndOfRun, MejiroError
from mejiro_runtime.sinks import window
from mejiro_runtime.types import Frame, PixelOrder, Result, Timing

FRAME = Frame(np.zeros((4, 4, 3), np.uint8), PixelOrder.BGR, 0, 0, 0)
RESULT = Result(0, "", (), Timing(1, 2, 3, 4, 5))


class Windows(SimpleNamespace):
    """Stand in for an OpenCV that has windows; hold what was done with them."""

    WINDOW_NORMAL, WND_PROP_VISIBLE = 0, 4

    def __init__(self, build: str = "GUI:   QT5", visible: float = 1.0, key: int = -1) -> None:
        super().__init__(shown=[], ended=0, build=build, visible=visible, key=key)

    def getBuildInformation(self) -> str:  # noqa: N802 - OpenCV's name
        return str(self.build)

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802
        pass

    def imshow(self, title: str, pixels: Any) -> None:
        self.shown.append(pixels.shape)

    def waitKey(self, wait_ms: int) -> int:  # noqa: N802
        return int(self.key)

    def getWindowProperty(self, title: str, which: int) -> float:  # noqa: N802
        return float(self.visible)

    def destroyAllWindows(self) -> None:  # noqa: N802
        self.ended += 1


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    stand_in = Windows()
    monkeypatch.setattr(opencv, "load", lambda purpose: stand_in)
    monkeypatch.setattr(window, "paint", lambda frame, result, **options: frame.pixels)
    monkeypatch.setenv("DISPLAY", ":0")
    return stand_in


def test_frames_are_shown_until_the_window_is_closed(windows: Windows) -> None:
    sink = window.WindowSink("birds")
    sink.show(FRAME, RESULT)
    windows.visible = 0.0
    with pytest.raises(EndOfRun):
        sink.show(FRAME, RESULT)
    sink.close()
    assert (windows.shown, windows.ended) == ([(4, 4, 3)] * 2, 1)


@pytest.mark.parametrize("key", [27, ord("q")])
def test_a_key_ends_the_run_too(windows: Windows, key: int) -> None:
    windows.key = key
    with pytest.raises(EndOfRun):
        window.WindowSink("birds").show(FRAME, RESULT)


def test_an_opencv_without_windows_is_told(windows: Windows) -> None:
    windows.build = "  GUI:                           NONE"
    with pytest.raises(MejiroError, match="pip install opencv-python`"):
        window.WindowSink("birds")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have a screen")
def test_a_machine_without_a_screen_is_told(windows: Windows, monkeypatch) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MejiroError, match="no screen"):
        window.WindowSink("birds")
