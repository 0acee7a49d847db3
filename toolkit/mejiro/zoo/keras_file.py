"""Load Keras files from strangers: networks of Keras's own layers, and no code.

Keras's safe mode refuses pickled Python. Before Keras sees a file, its configuration is read
here as plain JSON, so that what is refused is refused in one plain line, and so that nothing
but Keras's own classes is ever looked up.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.zoo.hdf5 import MAX_UNPACKED_BYTES, check_keras_file
from mejiro.zoo.weights import first_line, loading_whole
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.fields import parse_json

MAX_CONFIG_BYTES = 64 << 20

# Each of these holds Python code, or loads it from elsewhere.
_CODE = frozenset(
    {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
)
_MEMBERS = frozenset({"config.json", "metadata.json", "model.weights.h5"})


def load_keras_file(path: Path) -> Any:
    """Return the Keras model in a `.keras` or `.h5` file, not compiled.

    Raises ModelError if the file is absent or damaged, if it is of a network that Keras cannot
    make, or if it holds code or classes that are not Keras's own.
    """
    if not path.is_file():
        raise ModelError(f"{path} is not a file; give a .keras or .h5 file")
    check_keras_file(path)
    _check_classes(path, _read_config(path))
    keras = load_keras()
    try:
        with loading_whole():
            model = keras.saving.load_model(str(path), compile=False, safe_mode=True)
    except Exception as error:  # noqa: BLE001 - Keras and h5py raise a dozen kinds for a bad file
        raise ModelError(
            f"{path} cannot be loaded ({first_line(error)}); save it as .keras with Keras "
            f"{keras.__version__}"
        ) from None
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path} holds a {type(model).__name__}, not a model")
    if not model.built or not model.inputs:
        raise ModelError(f"{path} does not fix its input; save it after building it")
    return model


def _read_config(path: Path) -> Any:
    """Return a file's configuration as JSON values, without Keras taking part."""
    text = _zip_config(path) if path.suffix == ".keras" else _hdf5_config(path)
    return parse_json(text, f"the configuration in {path}")


def _zip_config(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist()]
            if set(names) != _MEMBERS or len(names) != len(_MEMBERS):
                raise ModelError(
                    f"{path} does not hold just {', '.join(sorted(_MEMBERS))}; it is no plain "
                    "Keras model"
                )
            if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise ModelError(f"{path} unpacks to more than {MAX_UNPACKED_BYTES} bytes")
            with archive.open("config.json") as member:
                data = member.read(MAX_CONFIG_BYTES + 1)
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - zipfile lets EOFError, zlib.error and more escape
        raise ModelError(f"{path} is no Keras file ({first_line(error)})") from None
    return _decoded(path, data)


def _hdf5_config(path: Path) -> str:
    load_keras()
    import h5py

    try:
        with h5py.File(path, "r") as file:
            value = file.attrs.get("model_config")
    except Exception as error:  # noqa: BLE001 - h5py raises whatever HDF5 stumbles over
        raise ModelError(f"{path} is no HDF5 file ({first_line(error)})") from None
    if value is None:
        raise ModelError(
            f"{path} holds weights without a network; build the network and pass the file as its "
            "weights"
        )
    if isinstance(value, str):  # h5py marks bytes that are not UTF-8 as surrogates
        value = value.encode("utf-8", "surrogateescape")
    if not isinstance(value, bytes):
        raise ModelError(f"the configuration in {path} is not text")
    return _decoded(path, value)


def _decoded(path: Path, data: bytes) -> str:
    if len(data) > MAX_CONFIG_BYTES:
        raise ModelError(f"the configuration in {path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ModelError(f"the configuration in {path} is not text") from None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object within `value`; a loop, since depth is in a stranger's hands."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            yield item
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)


def _check_classes(path: Path, config: Any) -> None:
    """Raise ModelError if the configuration names anything but Keras's own classes."""
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelError(f"the configuration in {path} describes no model")
    for item in _objects(config):
        kind, module = item.get("class_name"), item.get("module")
        if kind is None:
            continue
        inner = item.get("config")
        name = inner.get("name", "?") if isinstance(inner, dict) else "?"
        if kind in _CODE:
            raise ModelError(
                f"{path} contains a {kind} (layer '{name}'), which holds code, and code in model "
                "files is never run; replace it by layers of Keras and save again"
            )
        if module is not None and not _is_keras(module) and not _is_registered(item):
            raise ModelError(
                f"{path} uses the class {module}.{kind}, which is not part of Keras; import the "
                "package that registers it, or save the model with layers of Keras alone"
            )


def _is_keras(module: Any) -> bool:
    return isinstance(module, str) and (
        module in ("keras", "builtins") or module.startswith("keras.")
    )


def _is_registered(item: dict[str, Any]) -> bool:
    """Say whether this process itself has registered the class with Keras."""
    registered = item.get("registered_name")
    found = load_keras().saving.get_registered_object(registered) if registered else None
    return found is not None


def read_scores(keras_model: Any) -> Scores | None:
    """Return what a model's last layer says about its output; None if it does not tell.

    A softmax gives probabilities; a dense or convolutional layer without activation gives
    logits. Layers that only change the shape are looked through.
    """
    keras = load_keras()
    layers = keras.layers
    tensor = keras_model.outputs[0]
    while True:
        history = getattr(tensor, "_keras_history", None)
        if history is None:
            return None
        layer = history.operation
        if isinstance(layer, keras.Model):
            tensor = layer.outputs[0]
        elif isinstance(layer, layers.Reshape | layers.Flatten | layers.Dropout):
            tensor = layer.input
        elif isinstance(layer, layers.Softmax):
            return Scores.PROBABILITIES
        elif isinstance(layer, layers.Activation | layers.Dense | layers.Conv2D):
            return {
                keras.activations.softmax: Scores.PROBABILITIES,
                keras.activations.linear: Scores.LOGITS,
            }.get(layer.activation)
        else:
            return None
