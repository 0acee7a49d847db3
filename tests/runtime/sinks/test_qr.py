"""Codes are read back by a decoder, and hold what the standard's own example holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import UsageError
from mejiro_runtime.sinks import qr

ADDRESS = "http://192.168.178.123:8080/?token="
TOKEN = "Xq3-v_h0TzKbnR7sYw2LuA"  # fmt: skip


def drawn(modules: Any, pixels: int = 8) -> Any:
    """Return a picture of a code, with its quiet zone."""
    framed = np.pad(modules, qr.QUIET)
    return np.kron(np.where(framed, 0, 255).astype(np.uint8), np.ones((pixels, pixels), np.uint8))


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("http://[::1]:1/", 21),
        ("http://10.0.0.1:8080/", 25),
        ("http://device.local:8080/?token=" + TOKEN[:16], 29),
        (ADDRESS + TOKEN, 33),
        (ADDRESS + 2 * TOKEN, 37),
        (ADDRESS + 4 * TOKEN, 41),
    ],
)
def test_a_decoder_reads_what_was_written(cv2: Any, text: str, side: int) -> None:
    modules = qr.encode(text.encode())
    assert modules.shape == (side, side)
    assert cv2.QRCodeDetector().detectAndDecode(drawn(modules))[0] == text


def test_check_words_are_those_of_a_known_code() -> None:
    data = [32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17]
    check = [196, 35, 39, 119, 235, 215, 231, 226, 93, 23]
    assert list(qr._check_words(bytes(data), 10)) == check


@given(st.binary(min_size=1, max_size=110), st.sampled_from([7, 10, 15, 18, 20, 26]))
def test_a_block_with_its_check_words_is_zero_at_every_root(block: bytes, count: int) -> None:
    word = [*block, *qr._check_words(block, count)]
    root = 1
    for _ in range(count):
        value = 0
        for coefficient in word:
            value = qr._multiply(value, root) ^ coefficient
        assert value == 0
        root = qr._multiply(root, 2)


@given(st.binary(max_size=134))
def test_any_bytes_fit_the_smallest_square(data: bytes) -> None:
    modules = qr.encode(data)
    version = (len(modules) - 17) // 4
    assert len(data) + 2 <= qr.VERSIONS[version][0]
    assert version == 1 or len(data) + 2 > qr.VERSIONS[version - 1][0]
    finder = np.array([[max(abs(y), abs(x)) != 2 for x in range(-3, 4)] for y in range(-3, 4)])
    for corner in (modules[:7, :7], modules[:7, -7:], modules[-7:, :7]):
        assert np.array_equal(corner, finder)
    assert np.array_equal(modules[6, 8:-8], np.arange(8, len(modules) - 8) % 2 == 0)


def test_more_is_refused() -> None:
    with pytest.raises(UsageError, match="134 bytes, found 135"):
        qr.encode(bytes(135))


def test_a_terminal_shows_black_on_white() -> None:
    modules = qr.encode(b"http://10.0.0.1:8080/")
    lines = qr.draw_on_terminal(modules).splitlines()
    assert all(line.startswith("\x1b[30;107m") and line.endswith("\x1b[0m") for line in lines)
    signs = [line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m") for line in lines]
    halves = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
    rows = [[halves[sign][half] for sign in line] for line in signs for half in (0, 1)]
    framed = np.array(rows, bool)[: len(modules) + 2 * qr.QUIET]
    assert np.array_equal(framed, np.pad(modules, qr.QUIET))
