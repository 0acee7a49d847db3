"""Check that TensorFlow comes in quietly and that nothing else is swallowed with its noise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mejiro import tensorflow
from mejiro.errors import MissingPackage, UsageError


def test_start_up_is_silent() -> None:
    code = "from mejiro.tensorflow import load_keras; load_keras().ops.ones(1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b""
    assert done.stderr == b""


def test_importing_the_module_does_not_import_tensorflow() -> None:
    code = "import sys, mejiro.tensorflow; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_noise_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with tensorflow.quiet_stderr():
        os.write(2, b"I0000 00:00:1795425927.280035    5253 port.cc:153] oneDNN is on\n")
        os.write(2, b"E0000 00:00:1795425939.941652 5253 cuda_platform.cc:52] no cuInit\n")
        os.write(2, b"E0000 00:00:1795425939.941652 5253 ops.cc:52] out of memory\n")
        os.write(2, b"a line of ours\n")
    assert capfd.readouterr().err == (
        "E0000 00:00:1795425939.941652 5253 ops.cc:52] out of memory\na line of ours\n"
    )


def test_held_lines_appear_when_an_error_escapes(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with tensorflow.quiet_stderr():
            os.write(2, b"why it failed\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capfd.readouterr().err == "why it failed\n"


def test_keras_with_other_settings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = tensorflow.load_keras()
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(UsageError, match="'image_data_format' set to 'channels_first'"):
        tensorflow.load_keras()


def test_an_absent_package_is_named() -> None:
    with pytest.raises(MissingPackage, match="needs no_such_package_here"):
        tensorflow._import("no_such_package_here")
