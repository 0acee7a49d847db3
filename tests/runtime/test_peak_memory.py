"""Check that peak memory is this program's own, not that of whoever started it."""

from __future__ import annotations

import subprocess
import sys

from mejiro_runtime.telemetry import peak_memory_bytes

_MEGABYTE = 1_000_000
_CHILD = "from mejiro_runtime.telemetry import peak_memory_bytes; print(peak_memory_bytes())"


def test_memory_that_was_taken_is_counted() -> None:
    held = bytearray(b"\1" * 64 * _MEGABYTE)
    peak = peak_memory_bytes()
    assert peak is not None
    assert peak > len(held)


def test_a_small_program_does_not_inherit_the_peak_of_a_large_one() -> None:
    program = (
        f"held = bytearray(b'\\1' * {256 * _MEGABYTE})\n"
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {_CHILD!r}], check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < 128 * _MEGABYTE
