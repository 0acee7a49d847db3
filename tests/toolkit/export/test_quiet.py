"""Hold back converters' noise, and keep their errors."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

from mejiro.errors import DataError, ExportError
from mejiro.export.quiet import ConverterOutput, quietly


def test_a_failure_is_one_line_with_the_whole_story_behind_it():
    def convert():
        with quietly("converting tiny"):
            os.write(2, b"loc: details of the converter\n")
            raise RuntimeError("<unknown>:0: error: op 'X' is not supported\nsecond line")

    with pytest.raises(ExportError) as caught:
        convert()
    assert str(caught.value) == "converting tiny failed: op 'X' is not supported"
    original = caught.value.__cause__
    assert isinstance(original, RuntimeError)
    assert isinstance(original.__cause__, ConverterOutput)
    assert "details of the converter" in str(original.__cause__)


@pytest.mark.parametrize("error", [DataError("mine"), KeyboardInterrupt()])
def test_own_errors_and_interrupts_pass(error):
    with pytest.raises(type(error)) as caught, quietly("converting"):
        raise error
    assert caught.value is error


def test_an_error_without_words_is_named():
    with (
        pytest.raises(ExportError, match=r"^converting failed: ValueError$"),
        quietly("converting"),
    ):
        raise ValueError


def test_loggers_and_warnings_are_as_before_afterwards():
    level = logging.getLogger("tf2onnx").level
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with quietly("converting"):
            warnings.warn("noise", stacklevel=1)
            assert logging.getLogger("tf2onnx").level == logging.ERROR
        assert seen == []
        warnings.warn("news", stacklevel=1)
        assert len(seen) == 1
    assert logging.getLogger("tf2onnx").level == level


def test_only_what_c_writes_is_held_back():
    code = """
import os, sys
from mejiro.export.quiet import quietly
with quietly("converting"):
    os.write(2, b"noise from C\\n")
    print("progress", file=sys.stderr)
os.write(2, b"after\\n")
print("end", file=sys.stderr)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stderr.split("\n") == ["progress", "after", "end", ""]


def test_a_closed_stderr_is_no_obstacle():
    code = """
import os
from mejiro.export.quiet import quietly
os.close(2)
with quietly("converting"):
    print("done")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "done\n"
