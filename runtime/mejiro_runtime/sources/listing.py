"""List the cameras of this device, what each offers, and the word that opens it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

from mejiro_runtime.errors import MejiroError
from mejiro_runtime.sources import v4l2


class Listed(NamedTuple):
    """Hold one camera: its device, the word for `--source`, its name, and what it offers.

    `problem` says why it cannot be used, and is None where it can.
    """

    device: str
    source: str
    name: str
    modes: tuple[v4l2.Mode, ...]
    problem: str | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: formats, in them sizes, in them rates, largest first."""
        formats: dict[str, dict[str, list[float]]] = {}
        for mode in self.modes:
            formats.setdefault(mode.format, {})["{}x{}".format(*mode.size)] = list(mode.rates)
        return {
            "device": self.device,
            "source": self.source,
            "name": self.name,
            "formats": formats,
            "problem": self.problem,
        }


def list_cameras(devices: list[str]) -> list[Listed]:
    """Return what is known of each of `devices` (/dev/videoN), and of the cameras of picamera2."""
    return [_look(device) for device in devices] + _ribbon_cameras()


def _look(device: str) -> Listed:
    source = device.replace("/dev/video", "camera:")
    try:
        offer = v4l2.ask(Path(device))
    except (ImportError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, PermissionError):
            reason += "; add this user to the group 'video'"
        return Listed(device, source, "", (), f"cannot be asked: {reason}")
    problem = None
    if not offer.modes:
        problem = "gives no pictures, it is another part of a camera"
    elif v4l2.choose(offer.modes) is None:
        problem = "gives only formats that OpenCV cannot read; on a Raspberry Pi use picamera:0"
    return Listed(device, source, offer.name, offer.modes, problem)


def _ribbon_cameras() -> list[Listed]:
    """Return the cameras that picamera2 knows of, where it is installed."""
    if importlib.util.find_spec("picamera2") is None:
        return []
    from mejiro_runtime.sources.picamera import load

    try:
        found = load().global_camera_info()
    except (MejiroError, RuntimeError, OSError, AttributeError):
        return []  # what is wrong with it is told to whoever asks for a picamera
    return [
        Listed(
            f"picamera {one['Num']}", f"picamera:{one['Num']}", str(one.get("Model", "")), (), None
        )
        for one in found
        # USB cameras are among them, and have been listed with their formats.
        if "usb" not in str(one.get("Id", "")).lower()
    ]
