"""Know Termux, the Android app whose programs all lie below one folder of its own.

There is no /bin, /usr, /etc or /tmp, no root and no systemd; the user is the app.
Source: https://wiki.termux.dev/wiki/Differences_from_Linux
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from pathlib import Path

from mejiro_agent.programs import call

# It comes with the package that makes a Termux, termux-tools.
_SIGN = "bin/termux-info"
_GETPROP_TIMEOUT_S = 5


def prefix() -> Path | None:
    """Return the folder of Termux's programs, or None on any other system.

    Its ssh server passes PREFIX on; Python lies there as well, whoever starts it.
    """
    for text in (os.environ.get("PREFIX", ""), sys.base_prefix):
        if text and (Path(text) / _SIGN).is_file():
            return Path(text)
    return None


def environment() -> dict[str, str]:
    """Return what Termux's own shells set, for whatever starts without one; empty elsewhere."""
    folder = prefix()
    if folder is None:
        return {}
    return {
        "PREFIX": str(folder),
        "PATH": str(folder / "bin"),
        "TMPDIR": str(folder / "tmp"),
        "SVDIR": str(folder / "var" / "service"),
        "LOGDIR": str(folder / "var" / "log"),
    }


def settle() -> None:
    """Let this process and its children find Termux's programs and its folder for passing files."""
    path = os.environ.get("PATH", "")
    for name, value in environment().items():
        os.environ.setdefault(name, value)
        if name == "PATH" and value not in path.split(os.pathsep):
            os.environ[name] = os.pathsep.join([value, path] if path else [value])


def phone() -> str | None:
    """Return the phone's maker and model, or None where nothing tells."""
    if prefix() is None:
        return None
    found = [_property(f"ro.product.{name}") for name in ("manufacturer", "model")]
    return " ".join(part for part in found if part and part.isprintable()) or None


def system() -> str | None:
    """Return the versions of Android and of Termux, or None on another system."""
    if prefix() is None:
        return None
    android = _property("ro.build.version.release")
    app = os.environ.get("TERMUX_VERSION", "")
    return f"{f'Android {android}' if android else 'Android'}, Termux {app}".rstrip()


def _property(name: str) -> str:
    """Return one of Android's properties, an empty text where it is not told.

    Python 3.13 reads some by itself; older ones leave it to Android's program, whose folder is
    not on Termux's path.
    """
    asked = getattr(platform, "android_ver", None)
    if asked is not None and sys.platform == "android":
        told = asked()
        known = {"manufacturer": told.manufacturer, "model": told.model, "release": told.release}
        return str(known.get(name.rpartition(".")[2], ""))
    for program in ("getprop", "/system/bin/getprop"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = call([program, name], timeout_s=_GETPROP_TIMEOUT_S)
            if done.returncode == 0 and done.stdout.strip():
                return done.stdout.strip().splitlines()[0]
    return ""
