"""Make QR codes of short texts, such as an address with its token, for a phone's camera to read.

Byte mode, error correction level L, versions 1 to 6: up to 134 bytes. Level L is enough for a
screen, which has no stains, and gives the smallest code. Source: ISO/IEC 18004:2015.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mejiro_runtime.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Version -> (data codewords, check codewords of each block, blocks).
VERSIONS = {1: (19, 7, 1), 2: (34, 10, 1), 3: (55, 15, 1), 4: (80, 20, 1), 5: (108, 26, 1),
            6: (136, 18, 2)}  # fmt: skip
LEVEL_L = 0b01
QUIET = 4
MASKS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda y, x: (y + x) % 2,
    lambda y, x: y % 2,
    lambda y, x: x % 3,
    lambda y, x: (y + x) % 3,
    lambda y, x: (y // 2 + x // 3) % 2,
    lambda y, x: (y * x) % 2 + (y * x) % 3,
    lambda y, x: ((y * x) % 2 + (y * x) % 3) % 2,
    lambda y, x: ((y + x) % 2 + (y * x) % 3) % 2,
)


def encode(data: bytes) -> NDArray[np.bool_]:
    """Return the modules of the smallest code that holds `data`; True is dark. No quiet zone.

    Raises UsageError for more than 134 bytes.
    """
    for version, (capacity, check, blocks) in VERSIONS.items():
        if len(data) + 2 <= capacity:
            codewords = _interleave(_pad(data, capacity), check, blocks)
            return _best(version, codewords)
    raise UsageError(f"a QR code here holds 134 bytes, found {len(data)}")


def draw_on_terminal(modules: NDArray[np.bool_]) -> str:
    """Return lines of half blocks, black on white whatever the terminal's colours are."""
    framed = np.pad(modules, QUIET)
    if len(framed) % 2:
        framed = np.pad(framed, ((0, 1), (0, 0)))
    signs = np.array([" ", "▄", "▀", "█"])[2 * framed[::2] + framed[1::2]]
    return "".join(f"\x1b[30;107m{''.join(line)}\x1b[0m\n" for line in signs)


def _pad(data: bytes, capacity: int) -> bytes:
    """Return mode, length and data, then zeros to a whole byte and alternating filling."""
    bits = (0b0100 << 8 | len(data)) << (8 * len(data)) | int.from_bytes(data, "big")
    packed = (bits << 4).to_bytes(len(data) + 2, "big")
    return packed + (b"\xec\x11" * capacity)[: capacity - len(packed)]


# Reed-Solomon over GF(256) with the polynomial x^8 + x^4 + x^3 + x^2 + 1.


def _multiply(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def _check_words(block: bytes, count: int) -> bytes:
    generator, root = [1], 1
    for _ in range(count):
        shifted = [*generator, 0]
        for i, factor in enumerate(generator):
            shifted[i + 1] ^= _multiply(factor, root)
        generator, root = shifted, _multiply(root, 2)
    rest = [*block, *[0] * count]
    for i in range(len(block)):
        lead = rest[i]
        for j, factor in enumerate(generator):
            rest[i + j] ^= _multiply(factor, lead)
    return bytes(rest[-count:])


def _interleave(data: bytes, check: int, blocks: int) -> bytes:
    size = len(data) // blocks
    parts = [data[i * size : (i + 1) * size] for i in range(blocks)]
    checks = [_check_words(part, check) for part in parts]
    return bytes(
        word for group in (parts, checks) for words in zip(*group, strict=True) for word in words
    )


# The square.


def _frame(version: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the fixed modules, and which modules are fixed or kept for the format."""
    size = 17 + 4 * version
    dark, fixed = np.zeros((size, size), bool), np.zeros((size, size), bool)
    fixed[6, :] = fixed[:, 6] = True
    dark[6, ::2] = dark[::2, 6] = True
    ring = np.ones((7, 7), bool)
    ring[1:6, 1:6], ring[2:5, 2:5] = False, True
    for y, x in ((0, 0), (0, size - 7), (size - 7, 0)):
        fixed[
            max(0, y - 1) : y + 9 if not y else size, max(0, x - 1) : x + 9 if not x else size
        ] = True
        dark[max(0, y - 1) : y + 8, max(0, x - 1) : x + 8] = False
        dark[y : y + 7, x : x + 7] = ring
    if version > 1:
        middle = size - 9
        fixed[middle : middle + 5, middle : middle + 5] = True
        dark[middle : middle + 5, middle : middle + 5] = ring[1:6, 1:6] ^ True
        dark[middle + 1 : middle + 4, middle + 1 : middle + 4] = False
        dark[middle + 2, middle + 2] = True
    dark[size - 8, 8] = True
    return dark, fixed


def _place(size: int, fixed: NDArray[np.bool_], codewords: bytes) -> NDArray[np.bool_]:
    """Lay the bits in columns of two, up and down, from the right; what is left over stays 0."""
    placed = np.zeros((size, size), bool)
    bits = iter(np.unpackbits(np.frombuffer(codewords, np.uint8)).tolist())
    upward = True
    for right in [*range(size - 1, 6, -2), 5, 3, 1]:
        rows = range(size - 1, -1, -1) if upward else range(size)
        for y in rows:
            for x in (right, right - 1):
                if not fixed[y, x]:
                    placed[y, x] = next(bits, 0)
        upward = not upward
    return placed


def _format_bits(mask: int) -> int:
    value = LEVEL_L << 3 | mask
    rest = value << 10
    for shift in range(4, -1, -1):
        if rest >> (10 + shift) & 1:
            rest ^= 0b10100110111 << shift
    return (value << 10 | rest) ^ 0b101010000010010


def _best(version: int, codewords: bytes) -> NDArray[np.bool_]:
    """Return the code under the mask that is easiest to read."""
    dark, fixed = _frame(version)
    size = len(dark)
    data = _place(size, fixed, codewords)
    y, x = np.indices((size, size))
    candidates = []
    for number, mask in enumerate(MASKS):
        modules = dark | (data ^ (mask(y, x) == 0) & ~fixed)
        _write_format(modules, _format_bits(number))
        candidates.append(modules)
    return min(candidates, key=_penalty)


def _write_format(modules: NDArray[np.bool_], bits: int) -> None:
    size = len(modules)
    values = [bool(bits >> i & 1) for i in range(15)]
    down = [0, 1, 2, 3, 4, 5, 7, 8, *range(size - 7, size)]
    across = [*range(size - 1, size - 9, -1), 7, 5, 4, 3, 2, 1, 0]
    for value, y, x in zip(values, down, across, strict=True):
        modules[y, 8] = modules[8, x] = value


def _penalty(modules: NDArray[np.bool_]) -> int:
    """Return how hard a code is to read: long runs, blocks, false finders, and imbalance."""
    total = 0
    for lines in (modules, modules.T):
        for line in lines:
            text = "".join("1" if module else "0" for module in line)
            for run in text.replace("01", "0 1").replace("10", "1 0").split():
                total += len(run) - 2 if len(run) >= 5 else 0
            total += 40 * sum(
                text.startswith(finder, i)
                for finder in ("10111010000", "00001011101")
                for i in range(len(text) - 10)
            )
    square = modules[1:, 1:]
    same = (
        (square == modules[:-1, 1:]) & (square == modules[1:, :-1]) & (square == modules[:-1, :-1])
    )
    share = 100 * modules.mean()
    return total + 3 * int(same.sum()) + 10 * int(abs(share - 50) // 5)
