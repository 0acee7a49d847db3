"""OpenCV is there, or absent, or broken, and each is said plainly."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mejiro_runtime import opencv
from mejiro_runtime.errors import MejiroError, MissingPackage
from mejiro_runtime.kernels import default_kernel


def test_its_absence_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert not opencv.available()
    with pytest.raises(MissingPackage, match=r"reading a video needs opencv.*\[camera\]'") as error:
        opencv.load("reading a video")
    assert error.value.package == "opencv-python-headless"
    assert default_kernel().name == "numpy"


def test_a_broken_installation_is_not_called_absent(tmp_path: Path, monkeypatch) -> None:
    code = "raise ImportError('first line\\nlibGL.so.1: cannot open shared object file')\n"
    (tmp_path / "cv2.py").write_text(code, encoding="ascii")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    assert opencv.available()
    with pytest.raises(MejiroError, match=r"cannot be imported: libGL\.so\.1") as caught:
        opencv.load("resizing")
    assert not isinstance(caught.value, MissingPackage)
    assert "\n" not in str(caught.value)


def test_it_is_loaded_once_and_told_to_be_quiet_and_careful(cv2) -> None:
    assert opencv.available()
    assert opencv.load("testing") is cv2
    assert os.environ["OPENCV_LOG_LEVEL"]
    assert int(os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"]) >= opencv.MAX_PICTURE_PIXELS
