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

from mejiro_runtime.errors import MissingPackage


def available() -> bool:
    """Say whether OpenCV can be imported, without importing it."""
    if "cv2" in sys.modules:
        return sys.modules["cv2"] is not None
    return importlib.util.find_spec("cv2") is not None


def load(purpose: str) -> Any:
    """Return the `cv2` module, or raise MissingPackage saying that `purpose` needs it."""
    # Its own warnings about files it cannot open go to stderr; the runtime says it in one line.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise MissingPackage(
            "opencv-python-headless",
            purpose=purpose,
            install="pip install 'mejiro-runtime[camera]'",
        ) from error
