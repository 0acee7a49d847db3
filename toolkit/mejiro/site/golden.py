"""Put what a page verifies itself with into one file: pictures, tensors and answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro_runtime.card import ArtifactCard, Format
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.manifest import Tolerance

# Typed arrays want their first byte at a multiple of their size.
ALIGNMENT = 8
MACHINE = "wasm32"
_BACKENDS = {Format.TFLITE: "litert", Format.ONNX: "onnxruntime"}


@dataclass(frozen=True, eq=False)
class GoldenData:
    """Hold the golden frames, BGR, and what one artifact makes of them, as a bundle records it."""

    frames: Sequence[Pixels]
    inputs: Sequence[NDArray[Any]]
    outputs: Sequence[NDArray[Any]]
    made_with: dict[str, Any]
    tolerances: tuple[Tolerance, ...]


class _Writer:
    """Append arrays to a file in memory; `offset` of each is where it begins."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, array: NDArray[Any]) -> int:
        """Append the bytes of `array`, little-endian and row by row."""
        data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        offset = self._size
        padded = data + bytes(-len(data) % ALIGNMENT)
        self._parts.append(padded)
        self._size += len(padded)
        return offset

    def data(self) -> bytes:
        """Return the file."""
        return b"".join(self._parts)


def tolerances_of(card: ArtifactCard, engine: str, golden: GoldenData) -> list[dict[str, Any]]:
    """Return the tolerances of a bundle, before them those of the page's engine.

    In a browser the same engine runs on another type of machine: WebAssembly, and below it whatever
    the phone has.
    """
    backend = _BACKENDS[card.format]
    same = [one for one in golden.tolerances if one.backend == backend and one.machine == "*"]
    own = [
        Tolerance(engine, MACHINE, one.max_abs, f"{backend} in WebAssembly; as for {one.why}")
        for one in same[:1]
    ]
    return [one._asdict() for one in (*own, *golden.tolerances)]


def pack_golden(
    card: ArtifactCard, engine: str, golden: GoldenData
) -> tuple[bytes, dict[str, Any]]:
    """Return golden.bin, and what site.json says of it.

    Frames are uint8 BGR (height, width, 3); inputs have the shape and type of the card, outputs are
    what the task's reader records. All is little-endian, row by row.
    """
    writer = _Writer()
    frames = [
        {"offset": writer.add(bgr), "height": bgr.shape[0], "width": bgr.shape[1]}
        for bgr in golden.frames
    ]
    inputs = [{"offset": writer.add(tensor)} for tensor in golden.inputs]
    outputs = [
        {"offset": writer.add(record), "shape": list(record.shape), "dtype": record.dtype.name}
        for record in golden.outputs
    ]
    value = {
        "count": len(golden.frames),
        "order": "bgr",
        "frames": frames,
        "input_shape": list(card.input.shape),
        "inputs": inputs,
        "outputs": outputs,
        "made_with": golden.made_with,
        "tolerances": tolerances_of(card, engine, golden),
    }
    return writer.data(), value
