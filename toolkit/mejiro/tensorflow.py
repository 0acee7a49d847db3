"""Wrap TensorFlow and Keras: the one place that imports them, quietly and with checked settings.

TensorFlow takes seconds to import and writes lines about CPU features and absent GPUs to
stderr. Whatever needs it calls `load_tensorflow` or `load_keras` inside a function, so that
`mejiro --help` stays fast and a command's stderr holds only what the command has to say.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from mejiro.errors import MissingPackage, UsageError

# What TensorFlow logs while it starts, from C++, before its own log level takes effect.
_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions:"
    rb"|[IW]\d{4} [\d:.]+ +\d+ "
    rb"|E\d{4} [\d:.]+ +\d+ cuda\w*\.cc:)"
)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back TensorFlow's information and warnings; pass on whatever else reaches stderr.

    Works on the file descriptor, since the lines come from C++; other threads' lines are only
    delayed until the end.
    """
    sys.stderr.flush()
    try:
        real = os.dup(2)
    except OSError:  # stderr is closed: nothing can reach it
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            for line in held:
                if not _NOISE.match(line):
                    os.write(2, line)


def load_tensorflow() -> Any:
    """Return the `tensorflow` module; the first call imports it without its start-up lines."""
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr():
        tensorflow = _import("tensorflow")
        # The search for GPUs logs when it happens; let it happen here.
        tensorflow.config.list_physical_devices()
    return tensorflow


def load_keras() -> Any:
    """Return the `keras` module on TensorFlow, with channels last and float32.

    Raises UsageError if Keras is set to anything else, since a model built then would be another
    one than is meant.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    load_tensorflow()
    keras = _import("keras")
    found = {
        "backend": keras.config.backend(),
        "image_data_format": keras.config.image_data_format(),
        "floatx": keras.config.floatx(),
    }
    wanted = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}
    for name, value in wanted.items():
        if found[name] != value:
            raise UsageError(
                f"Keras has '{name}' set to '{found[name]}', Mejiro needs '{value}'; "
                "set it so in ~/.keras/keras.json"
            )
    return keras


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:  # the package is there, a part of it is broken
            raise
        raise MissingPackage(name, purpose="this command", install="pip install mejiro") from None
