"""Call layers of a TFLite file by the names that they have in the Keras network."""

from __future__ import annotations

import re
from collections.abc import Collection

from mejiro.errors import ExportError
from mejiro.export.flat import flatten
from mejiro.model import FloatModel

# The operation that gives an operator its name, where it was fused from several.
_MAIN = ("convolution", "depthwise", "MatMul", "Conv2D")


def keras_names(model: FloatModel) -> frozenset[str]:
    """Return the names of the network's layers; none for one whose layers cannot be told apart."""
    try:
        return frozenset(flatten(model).steps)
    except ExportError:
        return frozenset()


def layer_name(tensor: str, known: Collection[str]) -> str:
    """Return the Keras layer that a tensor was made by, or else the tensor's last operation."""
    parts = [part for part in tensor.split(";") if part]
    if not parts:
        return tensor
    main = next((part for part in parts if _operation(part).startswith(_MAIN)), parts[0])
    # TensorFlow numbers a scope when it meets the name again, as it does in a traced network.
    for word in reversed(main.split("/")):
        for name in (re.sub(r"_\d+$", "", word), word):
            if name in known:
                return name
    words = main.split("/")
    return words[-2] if len(words) > 1 else words[0]


def _operation(part: str) -> str:
    return part.rsplit("/", 1)[-1]
