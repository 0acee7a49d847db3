"""Swap activations that int8 has trouble with for those that it has not, in a float file.

This changes what the network computes; whether it may is for the score to say.
"""

from __future__ import annotations

from mejiro.export.flatbuffer import TFLiteFile
from mejiro.quality.repair.groups import WEIGHTED


def swap_relu6(source: bytes) -> tuple[bytes, int]:
    """Return the file with ReLU for each ReLU6 behind weights, and how many there were.

    ReLU lets a factor through, so that the channels before and behind it can be equalized
    (Nagel et al. 2019, arXiv:1906.04721, section 5.1.1). A ReLU6 that makes a gate, as in a hard
    sigmoid, which is multiplied by something, keeps its limit.
    """
    file = TFLiteFile(source)
    operators = file.operators
    factors = {index for one in operators if one.name == "MUL" for index in one.inputs}
    places = [
        place
        for place, one in enumerate(operators)
        if one.activation == "RELU6" and one.name in WEIGHTED and one.outputs[0] not in factors
    ]
    for place in places:
        file.set_activation(place, "RELU")
    return file.to_bytes() if places else source, len(places)


def swap_swish(source: bytes) -> tuple[bytes, int]:
    """Return the file with hard swish for each swish, and how many there were.

    Hard swish (Howard et al. 2019, arXiv:1905.02244) is one operator with one rounding, where
    x times sigmoid(x) has two, and near to swish in value.
    """
    file = TFLiteFile(source)
    swapped = 0
    while (found := _swish(file)) is not None:
        gate, product, entry = found
        file.put_in_place_of(product, "HARD_SWISH", entry, without=gate)
        swapped += 1
    return file.to_bytes() if swapped else source, swapped


def _swish(file: TFLiteFile) -> tuple[int, int, int] | None:
    """Return the places of a sigmoid, of the product that alone reads it, and of its input."""
    operators = file.operators
    ends = file.places_of_ends()
    for gate, one in enumerate(operators):
        if one.name != "LOGISTIC" or one.outputs[0] in ends:
            continue
        readers = [place for place, other in enumerate(operators) if one.outputs[0] in other.inputs]
        if len(readers) != 1:
            continue
        product = operators[readers[0]]
        wanted = {one.inputs[0], one.outputs[0]}
        plain = product.name == "MUL" and product.activation == "NONE"
        if plain and set(product.inputs) == wanted:
            return gate, readers[0], one.inputs[0]
    return None
