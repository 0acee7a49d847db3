"""Wrap OpenCV: the one module of the runtime that imports it.

OpenCV is an optional extra. Whatever needs it asks here, and gets either the module or an
error that names the extra; nothing else of the runtime writes `import cv2`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

from mejiro_runtime.android import to_install
from mejiro_runtime.errors import MejiroError, MissingPackage

MAX_PICTURE_PIXELS = 1 << 28


def available() -> bool:
    """Say whether OpenCV can be imported, without importing it."""
    if "cv2" in sys.modules:
        return sys.modules["cv2"] is not None
    return importlib.util.find_spec("cv2") is not None


def load(purpose: str) -> Any:
    """Return the `cv2` module, or raise MissingPackage saying that `purpose` needs it.

    Raises MejiroError where it is installed but broken.
    """
    # What it would print about files it cannot read, the runtime says in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # A file of a few bytes may claim to be a picture of gigabytes.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PICTURE_PIXELS))
    # A V4L2 camera that hangs would be waited for 10 s, longer than a run takes to end.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        if available():
            reason = str(error).strip().splitlines()
            raise MejiroError(
                f"{purpose} needs OpenCV, which is installed but cannot be imported: "
                f"{reason[-1] if reason else type(error).__name__}; "
                "install opencv-python-headless again, for this Python and numpy"
            ) from error
        raise MissingPackage(
            "opencv-python-headless",
            purpose=purpose,
            install=to_install("camera", "opencv-python"),
        ) from error
