"""Cameras are listed with the word that opens them, and with what keeps them from being used."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from mejiro_runtime.sources import listing, v4l2
from mejiro_runtime.sources.listing import list_cameras
from mejiro_runtime.sources.v4l2 import Mode, Offer

GIVES = {
    "/dev/video0": Offer("Cam", (Mode("MJPG", (8, 8), (30.0, 15.0)), Mode("YUYV", (8, 8), ()))),
    "/dev/video1": Offer("Cam", ()),
    "/dev/video2": Offer("unicam", (Mode("pRAA", (8, 8), ()),)),
}


@pytest.fixture(autouse=True)
def driver(monkeypatch) -> None:
    def ask(path: Path) -> Offer:
        if str(path) in GIVES:
            return GIVES[str(path)]
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(v4l2, "ask", ask)
    monkeypatch.setattr(listing.importlib.util, "find_spec", lambda name: None)


def test_each_camera_has_its_word_or_its_problem() -> None:
    good, meta, raw, closed = list_cameras([*GIVES, "/dev/video3"])
    assert (good.source, good.problem) == ("camera:0", None)
    assert good.to_json()["formats"] == {"MJPG": {"8x8": [30.0, 15.0]}, "YUYV": {"8x8": []}}
    assert meta.problem == "gives no pictures, it is another part of a camera"
    assert raw.problem is not None
    assert "use picamera:0" in raw.problem
    assert closed.problem is not None
    assert "group 'video'" in closed.problem


def test_the_cameras_of_picamera2_are_listed(monkeypatch) -> None:
    monkeypatch.setattr(listing.importlib.util, "find_spec", lambda name: object())
    module: Any = ModuleType("picamera2")
    known = [
        {"Model": "imx708", "Num": 0, "Id": "/base/soc/i2c0mux/i2c@1/imx708@1a"},
        {"Model": "Webcam", "Num": 1, "Id": "/base/soc/usb@7e980000-1.2:1.0-046d:0825"},
    ]
    module.Picamera2 = SimpleNamespace(global_camera_info=lambda: known)
    monkeypatch.setitem(sys.modules, "picamera2", module)
    (camera,) = list_cameras([])
    assert (camera.source, camera.name, camera.problem) == ("picamera:0", "imx708", None)
    monkeypatch.setitem(sys.modules, "picamera2", None)
    assert list_cameras([]) == []


def test_the_doctor_prints_them(monkeypatch, say) -> None:
    from mejiro_runtime import doctor

    found = list_cameras([*GIVES, "/dev/video3"])
    monkeypatch.setattr(doctor, "list_cameras", lambda paths: found)
    code, out, _ = say("doctor")
    assert code == 0
    assert "    --source camera:0  Cam\n      MJPG: 8x8 at 30/15\n" in out
    assert "      YUYV: 8x8 at an untold rate\n" in out
    assert "    /dev/video1 Cam: gives no pictures" in out
