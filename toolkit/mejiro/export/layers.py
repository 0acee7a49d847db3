"""Tell which layers of a network an operator of its TFLite file stands for, and match them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mejiro.errors import UsageError
from mejiro.export.flatbuffer import Operator, TFLiteFile
from mejiro.export.recipe import Recipe, Scheme

# Keras enters the scope of a layer twice while it is traced, and TensorFlow numbers the second.
_SCOPE_NUMBER = re.compile(r"_\d+$")
_BATCH_NORM = "batchnorm"  # the scope that such a layer has inside its own
_SHOWN = 8


@dataclass(frozen=True)
class NamedOperator:
    """Hold an operator that computes on floats, the tensor it makes, and the layers it stands for.

    An operator is known by the name of its first output. The converter fuses a convolution with
    the batch norm and the activation after it, so `layers` may be several, the last layer first.
    """

    operator: Operator
    tensor: str
    layers: tuple[str, ...]

    def matches(self, pattern: str) -> bool:
        """Say whether `pattern` (a glob) names this operator: its tensor or one of its layers."""
        names = (self.tensor, *self.layers)
        return pattern in names or any(fnmatchcase(name, pattern) for name in names)


def named_operators(file: TFLiteFile) -> list[NamedOperator]:
    """Return the operators of a float file that give floats, in the order of execution."""
    named = []
    for operator in file.operators:
        output = file.tensor(operator.outputs[0])
        if output.dtype == "float32":
            named.append(NamedOperator(operator, output.name, layers_of(output.name)))
    return named


def layers_of(tensor: str) -> tuple[str, ...]:
    """Return the names of the layers in the name of a tensor.

    The converter joins the places of what it fused: "net_1/relu_1/Relu6;net_1/conv_1/convolution"
    gives ("relu", "conv"). The first part of a place is the network, the last the operation; a
    layer inside a nested model is named with and without the model: "inner/conv", "conv".
    """
    names: dict[str, None] = {}
    for place in tensor.split(";"):
        parts = [part for part in place.split("/")[1:-1] if part != _BATCH_NORM]
        parts = [_SCOPE_NUMBER.sub("", part) for part in parts]
        for end in range(len(parts), 0, -1):
            names["/".join(parts[:end])] = None
            names[parts[end - 1]] = None
    return tuple(names)


def schemes_of(operators: Iterable[NamedOperator], recipe: Recipe) -> list[Scheme]:
    """Return the scheme that `recipe` gives each of `operators`; the last rule decides.

    Raises UsageError for a rule that matches none of them.
    """
    operators = list(operators)
    schemes = [recipe.default] * len(operators)
    for pattern, scheme in recipe.layers:
        matched = [place for place, one in enumerate(operators) if one.matches(pattern)]
        if not matched:
            known = dict.fromkeys(one.layers[0] for one in operators if one.layers)
            shown = ", ".join(list(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
            raise UsageError(f"the recipe names '{pattern}', which is no layer; there are {shown}")
        for place in matched:
            schemes[place] = scheme
    return schemes
