"""Carry the ranges that training found from one conversion of a network to the next.

Names of tensors hold the scopes that TensorFlow numbers anew in each process. The order of the
operators depends on nothing but the network, so a range is kept by its operator's place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mejiro.errors import ExportError
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.recipe import Recipe
from mejiro.model import FloatModel, TrainedQuantization, TrainedRange


def keep_ranges(
    model: FloatModel,
    float_tflite: bytes,
    recipe: Recipe,
    ranges: Mapping[str, tuple[float, float]],
) -> TrainedQuantization:
    """Return `ranges`, by the names of tensors in `float_tflite`, as a model keeps them."""
    kept = []
    for place, (operator, name) in enumerate(_operators(float_tflite)):
        if name in ranges:
            kept.append(TrainedRange(place, operator, *ranges[name]))
    return TrainedQuantization(weights_hash(model.keras_model), recipe.to_json(), tuple(kept))


def trained_ranges(model: FloatModel, float_tflite: bytes) -> dict[str, tuple[float, float]]:
    """Return the ranges that `model` was trained to, by the names of tensors in `float_tflite`.

    Raises ExportError if they are those of other weights, or of another network.
    """
    trained = model.trained
    if trained is None:
        raise ExportError(f"{model.name} was not trained for int8; calibrate it with pictures")
    if weights_hash(model.keras_model) != trained.weights:
        raise ExportError(
            f"the ranges that {model.name} was trained to are not those of its weights, which have "
            "changed since; train it for int8 again, or delete ranges.json"
        )
    operators = _operators(float_tflite)
    found: dict[str, tuple[float, float]] = {}
    for one in trained.ranges:
        if not 0 <= one.place < len(operators) or operators[one.place][0] != one.operator:
            raise ExportError(
                f"{model.name} was trained to a file whose operator {one.place} is {one.operator}, "
                "and is now converted to another; train it for int8 again, or delete ranges.json"
            )
        found[operators[one.place][1]] = (one.low, one.high)
    return found


def _operators(float_tflite: bytes) -> list[tuple[str, str]]:
    """Return each operator's name in the schema and the name of the tensor that it gives."""
    file = TFLiteFile(float_tflite)
    return [(one.name, file.tensor(one.outputs[0]).name) for one in file.operators]


def weights_hash(keras_model: Any) -> str:
    """Return one hash over the values of all weights, in order."""
    digest = hashlib.sha256()
    for value in keras_model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
