"""Know an Android phone: what it is called, and what its battery tells.

Termux is the app whose programs these are; all of them lie below one folder. Apps may not read
most of /sys, so there is no temperature of the chip.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

PROGRAM_TIMEOUT_S = 5.0
# It comes with the package that makes a Termux, termux-tools.
_SIGN = "bin/termux-info"


def prefix() -> Path | None:
    """Return the folder of Termux's programs, or None on any other system."""
    for text in (os.environ.get("PREFIX", ""), sys.base_prefix):
        if text and (Path(text) / _SIGN).is_file():
            return Path(text)
    return None


def to_install(extra: str, package: str) -> str:
    """Return the command that brings an extra of the runtime, on a phone Termux's `package`.

    pip has no compiled packages for Android.
    """
    return f"pkg install {package}" if prefix() else f"pip install 'mejiro-runtime[{extra}]'"


def phone() -> str | None:
    """Return the phone's maker and model, or None where nothing tells or this is none."""
    if prefix() is None:
        return None
    # These cost every start milliseconds, and only a phone needs them.
    import platform
    import shutil

    asked = getattr(platform, "android_ver", None)
    if asked is not None and sys.platform == "android":  # Python 3.13, and no program to start
        told = asked()
        found = [str(told.manufacturer), str(told.model)]
    else:
        getprop = shutil.which("getprop") or "/system/bin/getprop"
        found = [_answer(getprop, f"ro.product.{key}") for key in ("manufacturer", "model")]
    return " ".join(part for part in found if part and part.isprintable()) or None


def battery() -> dict[str, Any] | None:
    """Return what `termux-battery-status` tells of the battery; None where it tells nothing.

    It starts a program that asks another app, and that waits for ever where the app Termux:API is
    missing: for reports and for `doctor`, not for each frame.
    """
    if prefix() is None:
        return None
    import json

    try:
        value = json.loads(_answer("termux-battery-status"))
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    found: dict[str, Any] = {}
    for name, key in (("temperature_celsius", "temperature"), ("percentage", "percentage")):
        number = value.get(key)
        if isinstance(number, int | float) and -1000 < number < 1000:  # NaN is not
            found[name] = number
    plugged = value.get("plugged")
    if isinstance(plugged, str) and plugged.isprintable():
        found["plugged"] = plugged
    return found or None


def _answer(*words: str) -> str:
    """Return what a program prints, an empty text where it fails or takes too long."""
    import subprocess  # costs a start milliseconds that only a phone need pay

    try:
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, errors="replace", start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=PROGRAM_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                end_group(process.pid)
                return ""
            return said.strip() if process.returncode == 0 else ""
    except OSError:
        return ""


def end_group(number: int) -> None:
    """Kill a program that leads its group, and what it started: Termux's are scripts that wait."""
    import signal

    try:
        os.killpg(number, signal.SIGKILL)
    except OSError:
        pass
