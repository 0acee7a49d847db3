"""Make of a model's file the one that a page's engine runs, and check that it means the same.

LiteRT.js knows float32, int32 and uint8 at a model's ends, and no open shapes. Files with other
ends get operators there; the rest of them, and every real number, stays. ONNX files are served as
they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError, SiteError
from mejiro.export.ends import SHIFT, EndsFile
from mejiro_runtime.backends import Backend, BackendRequest, open_backend
from mejiro_runtime.card import ArtifactCard, Format, Precision
from mejiro_runtime.preprocess import TensorInfo
from mejiro_runtime.recurrence import Memory

MAX_MODEL_BYTES = 512 << 20
END_TYPES = ("float32", "int32", "uint8")
ONNX_TYPES = ("float32", "uint8", "int8", "int32", "int64")
SUFFIX = "-page"


@dataclass(frozen=True, eq=False)
class Served:
    """Hold the file that a page runs: its name and bytes, its ends, and what there is to say."""

    name: str
    data: bytes
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    notes: tuple[str, ...]


def make_served(path: Path, card: ArtifactCard, tensors: Sequence[NDArray[Any]]) -> Served:
    """Return the file to serve for the model file `path`.

    `tensors` are the golden input tensors: where the file is changed, both are run on them with
    LiteRT, and must give the same real numbers to the bit. Raises SiteError for what no page can
    run.
    """
    data = path.read_bytes()
    if len(data) > MAX_MODEL_BYTES:
        raise SiteError(
            f"{card.file} has {len(data)} bytes, too many for a page; use a smaller one"
        )
    if card.format is Format.ONNX:
        ends = _ends_of(path, Format.ONNX)
        _refuse_types(card.file, [end.dtype for side in ends for end in side], ONNX_TYPES)
        return Served(card.file, data, *ends, notes=_notes_on_onnx(card))
    ends = _ends_of(path, Format.TFLITE)
    changed, told = convert(data, card.file, shapes=[end.shape for end in ends[1]])
    if changed == data:
        return Served(card.file, data, *ends, notes=())
    with tempfile.TemporaryDirectory() as folder:
        beside = Path(folder) / f"{path.stem}{SUFFIX}.tflite"
        beside.write_bytes(changed)
        check_same(path, beside, tensors, card)
        return Served(beside.name, changed, *_ends_of(beside, Format.TFLITE), notes=told)


def _notes_on_onnx(card: ArtifactCard) -> tuple[str, ...]:
    if card.precision is Precision.INT8:
        told = (
            f"{card.file} runs in onnxruntime-web, which takes int8 several times longer than "
            "LiteRT.js does; bundle the .tflite of the same model where there is one"
        )
        return (told,)
    return ()


def convert(
    data: bytes, name: str, *, shapes: Sequence[tuple[int, ...]] = ()
) -> tuple[bytes, tuple[str, ...]]:
    """Return a TFLite file as LiteRT.js takes it, and a line on what was changed, if anything.

    `shapes` are those that the outputs have when the file runs, for files that do not say. Raises
    SiteError for a file that cannot be made so.
    """
    try:
        file = EndsFile(data)
    except ExportError as error:
        raise SiteError(f"{name} cannot be run by a page: {error}") from None
    except Exception as error:  # noqa: BLE001 - what the reader of a damaged file raises is open
        raise SiteError(f"{name} cannot be read as TFLite: {type(error).__name__}") from None
    _refuse_operators(file, name)
    steps = {
        "uint8 input": file.take_uint8(),
        "uint8 output": file.give_uint8(),
        "int32 output": file.give_int32(),
        "a fixed shape": file.fix_shapes(),
        "shapes of outputs": bool(shapes) and file.give_shapes(shapes),
    }
    _refuse_types(name, [end.dtype for end in (*file.inputs, *file.outputs)], END_TYPES)
    several = max(len(file.inputs), len(file.outputs)) > 1 and file.forget_signatures()
    made = [what for what, changed in steps.items() if changed]
    if not made and not several:
        return data, ()
    file.forget_signatures()
    told = f"{name} is served with {', '.join(made)}; it gives the same numbers" if made else ""
    return file.to_bytes(), (told,) * bool(told)


def _refuse_types(name: str, found: Sequence[str], known: Sequence[str]) -> None:
    """Raise SiteError if a file takes or gives types that its engine does not know in a page."""
    if strange := sorted(set(found) - set(known)):
        raise SiteError(
            f"{name} takes or gives {', '.join(strange)}, which pages do not know; "
            "convert it with float32 or int8 at its ends"
        )


def _refuse_operators(file: EndsFile, name: str) -> None:
    """Raise SiteError if the file has operators that LiteRT.js does not bring."""
    known = {"TFLite_Detection_PostProcess"}
    custom = {op.name for op in file.operators if not op.name.isupper()} - known
    if custom:
        raise SiteError(
            f"{name} has the operator {', '.join(sorted(custom))}, which LiteRT.js does not "
            "bring; export the model without it, or bundle the .onnx of it"
        )


def _ends_of(path: Path, format: Format) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    backend = open_backend(path, BackendRequest(_backend_of(format)))
    try:
        return backend.inputs, backend.outputs
    finally:
        backend.close()


def _backend_of(format: Format) -> str:
    return {Format.TFLITE: "litert", Format.ONNX: "onnxruntime"}[format]


def check_same(
    original: Path, changed: Path, tensors: Sequence[NDArray[Any]], card: ArtifactCard | None = None
) -> None:
    """Run both files on `tensors`; raises SiteError unless they give the same but for the shift.

    With the `card` of a recurrent model the tensors are a stream.
    """
    request = BackendRequest("litert")
    one, other = open_backend(original, request), open_backend(changed, request)
    ways: list[Memory | Backend] = [one, other]
    if card is not None and card.state:
        ways = [Memory(card, one), Memory(card, other)]
    try:
        for index, tensor in enumerate(tensors):
            pairs = zip(ways[0].infer(tensor), ways[1].infer(shifted(tensor)), strict=True)
            if not all(_same(before, after) for before, after in pairs):
                raise SiteError(
                    f"{original.name} answers golden frame {index} otherwise after its ends were "
                    "changed for LiteRT.js; export it with uint8 or float32 at its ends"
                )
    finally:
        one.close()
        other.close()


def shifted(tensor: NDArray[Any]) -> NDArray[Any]:
    """Return an int8 tensor as the uint8 one that means the same; others as they are."""
    if tensor.dtype == np.int8:
        return (tensor.astype(np.int16) + SHIFT).astype(np.uint8)
    return tensor


def _same(before: NDArray[Any], after: NDArray[Any]) -> bool:
    if before.dtype == np.int8 and after.dtype == np.uint8:
        before = shifted(before)
    return before.shape == after.shape and bool(np.array_equal(before, after))
