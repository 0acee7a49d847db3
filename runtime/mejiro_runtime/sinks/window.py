"""Show frames in a window of OpenCV, with what was seen drawn on them."""

from __future__ import annotations

import os
import re
import sys

from mejiro_runtime import opencv
from mejiro_runtime.errors import EndOfRun, MejiroError
from mejiro_runtime.sinks.overlay import paint
from mejiro_runtime.types import Frame, Result

LONGEST_SIDE = 1280
KEYS_THAT_END = {27, ord("q")}


class WindowSink:
    """Show each frame; EndOfRun is raised once the window is closed, or Esc or q is pressed.

    Raises MejiroError where no window can be opened.
    """

    def __init__(self, title: str) -> None:
        self._cv2 = opencv.load("showing a window")
        _check_display(self._cv2.getBuildInformation())
        self._title = title
        self._cv2.namedWindow(title, self._cv2.WINDOW_NORMAL)

    def show(self, frame: Frame, result: Result) -> None:
        """See `Sink.show`."""
        cv2 = self._cv2
        cv2.imshow(self._title, paint(frame, result, longest_side=LONGEST_SIDE))
        # Events of the window are only seen to while a key is waited for.
        key = cv2.waitKey(1) & 0xFF
        closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
        if closed or key in KEYS_THAT_END:
            raise EndOfRun

    def close(self) -> None:
        """See `Sink.close`."""
        self._cv2.destroyAllWindows()


def _check_display(build: str) -> None:
    """Raise MejiroError where OpenCV has no windows, or the machine no screen."""
    if re.search(r"GUI:\s+NONE", build):
        raise MejiroError(
            "this OpenCV is built without windows; run `pip uninstall opencv-python-headless`, "
            "then `pip install opencv-python`, or look at the run with --web"
        )
    # Without one, Qt ends the program instead of raising an error.
    if sys.platform.startswith(("android", "linux")) and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise MejiroError(
            "there is no screen to open a window on (neither DISPLAY nor WAYLAND_DISPLAY is set); "
            "look at the run with --web"
        )
