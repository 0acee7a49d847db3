"""Hand a TFLite file's operators to a Coral Edge TPU, or say why that cannot be.

A file for it was compiled by Google's ``edgetpu_compiler``: what the accelerator takes is one
operator of its own there. Source: https://coral.ai/docs/edgetpu/inference/
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from mejiro_runtime.errors import BackendError

LIBRARY = "libedgetpu.so.1"
OPERATOR = "edgetpu-custom-op"
# What delegates add to the file's own operators: they stand for those, and are none themselves.
_ADDED = ("DELEGATE", "EdgeTpuDelegate")


def load(module: Any) -> Any:
    """Return the delegate, made by `load_delegate` of the engine's `module`.

    Raises BackendError where the library or the accelerator is missing.
    """
    try:
        # Asked first: the engine's own way leaves a half-made object that complains when it goes.
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise BackendError(
            f"{LIBRARY} cannot be loaded ({error}); install libedgetpu1-std from Coral's apt "
            "repository, or ask for another backend"
        ) from None
    try:
        return module.load_delegate(LIBRARY)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise BackendError(
            f"no Edge TPU answers ({reason}); plug the accelerator in, and let this user reach it "
            "(group plugdev), or ask for another backend"
        ) from None


def accelerator(operators: Sequence[str]) -> str:
    """Say how much of a file the Edge TPU takes, from its operators' names.

    Raises BackendError if it takes none. Without names the engine does not tell.
    """
    if not operators:
        return "unknown kernels, with the Edge TPU's delegate"
    taken = operators.count(OPERATOR)
    if not taken:
        raise BackendError(
            "nothing in this file was compiled for the Edge TPU, so that all of it would run on "
            "the CPU; compile it with edgetpu_compiler, or ask for another backend"
        )
    left = sum(name != OPERATOR and not name.startswith(_ADDED) for name in operators)
    return "Edge TPU" if not left else f"Edge TPU, {left} operators on the CPU"
