"""Read the description that TFLite Metadata embeds in a model file.

Source: metadata_schema.fbs, version 1.1.0, of github.com/tensorflow/tflite-support. The table
ids below are the fields' places in that schema. The package that used to read it is no longer
kept, and adopting needs six of its tables.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import flatbuffers
from flatbuffers import encode
from flatbuffers import number_types as kinds
from flatbuffers.table import Table

from mejiro.data.labels import MAX_LABELS_BYTES
from mejiro.export.adopt.facts import Described, shown
from mejiro_runtime.errors import ModelError
from mejiro_runtime.types import PixelOrder

BUFFER_NAME = b"TFLITE_METADATA"
IDENTIFIER = b"M001"

# ModelMetadata, SubGraphMetadata
_ABOUT = {"name": 0, "version": 2, "author": 4, "license": 5}
_MODEL_SUBGRAPHS = 3
_SUBGRAPH_INPUTS, _SUBGRAPH_OUTPUTS = 2, 3
# TensorMetadata, Content, ImageProperties
_TENSOR_CONTENT, _TENSOR_PROCESS_UNITS, _TENSOR_FILES = 3, 4, 6
_CONTENT_TYPE, _CONTENT = 0, 1
_IMAGE_PROPERTIES = 2
_COLOR_SPACE = 0
_ORDERS = {1: PixelOrder.RGB, 2: PixelOrder.GRAY}
# ProcessUnit, NormalizationOptions
_UNIT_TYPE, _UNIT_OPTIONS = 0, 1
_NORMALIZATION = 1
_MEAN, _STD = 0, 1
# AssociatedFile
_FILE_NAME, _FILE_TYPE = 0, 2
_LABELS = (2, 3)  # of an axis, and of the numbers that are an output's values

_MAX_ABOUT_CHARACTERS = 2000


class Node:
    """Read the fields of one flatbuffer table by their ids, never past the buffer's end.

    Raises ValueError, TypeError or struct.error where the buffer is damaged.
    """

    def __init__(self, data: bytes, position: int) -> None:
        if position >= len(data):
            raise ValueError("a table lies past the end")
        self._data = data
        self._table: Any = Table(data, position)

    @classmethod
    def root(cls, data: bytes) -> Node:
        """Return the buffer's root table."""
        return cls(data, encode.Get(flatbuffers.packer.uoffset, data, 0))

    def _place(self, field: int) -> int:
        """Return where the field lies in the buffer, or 0 where it is left out."""
        offset = int(self._table.Offset(4 + 2 * field))
        return self._table.Pos + offset if offset else 0

    def _vector(self, field: int, element_bytes: int) -> tuple[int, int]:
        """Return a vector's start and length; a length that cannot be true is refused."""
        place = self._place(field)
        if not place:
            return 0, 0
        head = int(self._table.Indirect(place))
        length = int(self._table.Get(kinds.UOffsetTFlags, head))
        start = head + kinds.UOffsetTFlags.bytewidth
        if start + length * element_bytes > len(self._data):
            raise ValueError("a vector reaches past the end")
        return start, length

    def byte(self, field: int) -> int:
        """Return a byte or a small enum; 0 where it is left out."""
        place = self._place(field)
        return int(self._table.Get(kinds.Uint8Flags, place)) if place else 0

    def text(self, field: int) -> str:
        """Return a string; empty where it is left out."""
        start, length = self._vector(field, 1)
        return self._data[start : start + length].decode("utf-8", "replace")

    def floats(self, field: int) -> tuple[float, ...]:
        """Return a vector of float32."""
        start, length = self._vector(field, 4)
        return tuple(
            float(self._table.Get(kinds.Float32Flags, start + 4 * index)) for index in range(length)
        )

    def child(self, field: int) -> Node | None:
        """Return a table, or the value of a union; None where it is left out."""
        place = self._place(field)
        return Node(self._data, self._table.Indirect(place)) if place else None

    def children(self, field: int) -> list[Node]:
        """Return a vector of tables."""
        start, length = self._vector(field, 4)
        places = (start + 4 * index for index in range(length))
        return [Node(self._data, self._table.Indirect(place)) for place in places]


def read_described(metadata: bytes, model: bytes, name: str) -> Described | None:
    """Return what the buffer `metadata` of the file `model` says, or None for another schema.

    Damage raises ValueError, TypeError or struct.error; a labels file that the description names
    and `model` does not hold whole raises ModelError.
    """
    if metadata[4:8] != IDENTIFIER:
        return None
    root = Node.root(metadata)
    about = {key: root.text(field)[:_MAX_ABOUT_CHARACTERS] for key, field in _ABOUT.items()}
    about = {key: value for key, value in about.items() if value}
    subgraphs = root.children(_MODEL_SUBGRAPHS)
    if not subgraphs:
        return Described(about=about)
    inputs = subgraphs[0].children(_SUBGRAPH_INPUTS)
    outputs = subgraphs[0].children(_SUBGRAPH_OUTPUTS)
    mean, std = _normalization(inputs[0]) if len(inputs) == 1 else ((), ())
    file = next((name for output in outputs if (name := _labels_file(output))), "")
    return Described(
        mean=mean,
        std=std,
        order=_order(inputs[0]) if len(inputs) == 1 else None,
        labels=_packed_file(model, file, name) if file else None,
        about=about,
    )


def _normalization(tensor: Node) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for unit in tensor.children(_TENSOR_PROCESS_UNITS):
        options = unit.child(_UNIT_OPTIONS)
        if unit.byte(_UNIT_TYPE) == _NORMALIZATION and options is not None:
            return options.floats(_MEAN), options.floats(_STD)
    return (), ()


def _order(tensor: Node) -> PixelOrder | None:
    content = tensor.child(_TENSOR_CONTENT)
    if content is None or content.byte(_CONTENT_TYPE) != _IMAGE_PROPERTIES:
        return None
    image = content.child(_CONTENT)
    return None if image is None else _ORDERS.get(image.byte(_COLOR_SPACE))


def _labels_file(tensor: Node) -> str:
    """Return the name of the first file that labels the output's axis or values, or nothing."""
    files = tensor.children(_TENSOR_FILES)
    names = (file.text(_FILE_NAME) for file in files if file.byte(_FILE_TYPE) in _LABELS)
    return next(names, "")


def _packed_file(model: bytes, file: str, name: str) -> bytes:
    """Return a file from the ZIP archive that is appended to the model, of limited size."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive, archive.open(file) as stream:
            data = stream.read(MAX_LABELS_BYTES + 1)
    except Exception as error:  # noqa: BLE001 - zipfile lets EOFError, zlib.error and more out
        raise ModelError(
            f"{name} names its labels {shown(file)}, but they cannot be read from it "
            f"({shown(str(error)) or type(error).__name__}); get the file again"
        ) from None
    if len(data) > MAX_LABELS_BYTES:
        raise ModelError(
            f"{name} holds labels of more than {MAX_LABELS_BYTES} bytes; they cannot be labels"
        )
    return data
