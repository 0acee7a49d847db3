"""Find out whether this is an NVIDIA Jetson, which JetPack it runs, and which GPU it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path("/")
# Release of Jetson Linux -> JetPack (NVIDIA, "JetPack Archive"); the point release only dpkg knows.
_JETPACKS = {32: 4, 34: 5, 35: 5, 36: 6, 38: 7, 39: 7}
# Not compiled here: only a Jetson's start need pay for it.
_RELEASE = r"# R([0-9]{1,3}) \(release\), REVISION: ([0-9.]{1,12})"
_VERSION = r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}"
# What to install, by JetPack. PyPI's onnxruntime-gpu has no file for aarch64.
WHEELS = {
    5: "JetPack 5 comes with Python 3.8, which is too old for Mejiro; flash JetPack 6",
    6: "install NVIDIA's onnxruntime-gpu for JetPack 6 (cp310, linux_aarch64), from the package "
    "index of the Jetson AI Lab, jp6/cu126 for CUDA 12.6, or from the Jetson Zoo",
    7: "install an onnxruntime-gpu built for this JetPack's CUDA and for sm_87, the GPU of Orin "
    "(cp312, linux_aarch64); look in the package index of the Jetson AI Lab, else build it",
}
_WHEEL = (
    "install the onnxruntime-gpu that NVIDIA publishes for this JetPack (Jetson AI Lab, Jetson Zoo)"
)


class Jetson(NamedTuple):
    """Hold what a Jetson tells of itself; what it does not tell is None.

    `l4t` is the release of Jetson Linux, such as 36.4.3; `jetpack` is a version such as 6.2 where
    dpkg knows the package nvidia-jetpack, else its first number, as the release implies.
    """

    model: str
    l4t: str | None = None
    jetpack: str | None = None

    @property
    def jetpack_major(self) -> int | None:
        """The first number of JetPack's version."""
        return None if self.jetpack is None else int(self.jetpack.partition(".")[0])

    @property
    def wheel_advice(self) -> str:
        """What to do where ONNX Runtime has no GPU."""
        advice = WHEELS.get(self.jetpack_major or 0, _WHEEL)
        return f"PyPI's onnxruntime has no GPU on a Jetson: {advice}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"model": self.model, "l4t": self.l4t, "jetpack": self.jetpack}

    def __str__(self) -> str:
        told = [f"JetPack {self.jetpack}"] if self.jetpack else []
        told += [f"Jetson Linux {self.l4t}"] if self.l4t else []
        return ", ".join([self.model, *told])


def is_jetson(root: Path = ROOT) -> bool:
    """Say whether the system below `root` is a Jetson's, by a look at two small files."""
    return (root / "etc/nv_tegra_release").exists() or "jetson" in _model(root).lower()


def jetson_linux(root: Path = ROOT) -> str | None:
    """Return the release of Jetson Linux below `root`, such as 36.4.3; None if none is told."""
    found = re.match(_RELEASE, _text(root / "etc/nv_tegra_release"))
    return f"{found[1]}.{found[2]}" if found else None


def find_jetson(root: Path = ROOT) -> Jetson | None:
    """Return what the Jetson whose system lies below `root` tells, None on another machine."""
    if not is_jetson(root):
        return None
    l4t = jetson_linux(root)
    implied = _JETPACKS.get(int(l4t.partition(".")[0])) if l4t else None
    installed = re.match(_VERSION, package_version("nvidia-jetpack", root) or "")
    if installed:
        jetpack: str | None = installed[0]
    else:
        jetpack = None if implied is None else str(implied)
    return Jetson(_model(root) or "Jetson", l4t, jetpack)


def gpu_identity(root: Path = ROOT) -> str | None:
    """Return a text that changes with the GPU; None where there is none of NVIDIA's, or it is mute.

    On a Jetson it names the module too: modules of one chip differ in the number of cores.
    """
    if is_jetson(root):
        compatible = _text(root / "proc/device-tree/compatible", limit=4096)
        names = [name for name in compatible.split("\0") if name.strip()]
        return ", ".join([_model(root), *names]) if names else None
    models = set()
    try:
        folders = sorted((root / "proc/driver/nvidia/gpus").iterdir())
    except OSError:
        return None
    for folder in folders:
        for line in _text(folder / "information").splitlines():
            if line.startswith("Model:"):
                models.add(line.partition(":")[2].strip())
    return ", ".join(sorted(models)) or None


def has_nvidia_gpu(root: Path = ROOT) -> bool:
    """Say whether TensorRT or CUDA are worth a try below `root`."""
    return is_jetson(root) or gpu_identity(root) is not None


def package_version(name: str, root: Path = ROOT) -> str | None:
    """Return the version of an installed Debian package, from dpkg's own list; None if absent."""
    wanted, installed, version = False, False, None
    for line in _lines(root / "var/lib/dpkg/status"):
        if not line:
            if wanted and installed and version:
                return version
            wanted, installed, version = False, False, None
        elif line.startswith("Package: "):
            wanted = line[9:].strip() == name
        elif wanted and line.startswith("Status: "):
            installed = line.split()[-1] == "installed"
        elif wanted and line.startswith("Version: "):
            version = line[9:].strip()
    return version if wanted and installed else None


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                yield line.rstrip("\n")
    except OSError:
        return


def _model(root: Path) -> str:
    for path in ("proc/device-tree/model", "sys/firmware/devicetree/base/model"):
        if text := _text(root / path, limit=256).replace("\0", "").strip():
            return text.splitlines()[0]
    return ""


def _text(path: Path, *, limit: int = 1 << 16) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.read(limit)
    except OSError:
        return ""
