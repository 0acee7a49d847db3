"""Say whether an ONNX file is too new for the oldest engine that a device may have."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from mejiro.errors import TargetError
from mejiro.model import Artifact
from mejiro.targets import TargetBackend
from mejiro_runtime.card import Format
from mejiro_runtime.errors import ModelError

_STANDARD = frozenset({"", "ai.onnx"})


def check_versions(artifacts: Sequence[Artifact], backend: TargetBackend, where: str) -> None:
    """Raise TargetError for the first file with a newer opset or IR than `backend` reads.

    Nothing is converted: an older opset is another graph, which has to be scored anew.
    """
    if backend.format is not Format.ONNX or not (backend.opset or backend.ir):
        return
    for artifact in artifacts:
        if artifact.card.format is not Format.ONNX:
            continue
        opset, ir = versions_of(artifact.path)
        if opset > (backend.opset or opset) or ir > (backend.ir or ir):
            raise TargetError(
                f"{artifact.card.file} has opset {opset} and IR version {ir}, and the oldest "
                f"{backend.distribution} of {where} reads up to opset {backend.opset} and IR "
                f"version {backend.ir}; export it again with those or older (`mejiro convert "
                "--format onnx` writes 17 and 8)"
            )


def versions_of(path: Path) -> tuple[int, int]:
    """Return the opset of ONNX's own operators and the IR version of a file.

    Raises ModelError for a file that is no ONNX model.
    """
    import onnx

    broken: type[Exception] = importlib.import_module("google.protobuf.message").DecodeError
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except (broken, ValueError, RecursionError):
        raise ModelError(f"{path} is damaged or not ONNX; export it again") from None
    found = [int(one.version) for one in model.opset_import if one.domain in _STANDARD]
    return max(found, default=0), int(model.ir_version)
