"""Run a float TFLite file over calibration pictures, and see which values its tensors take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError
from mejiro.export.clipping import clip_range
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.histogram import Histogram
from mejiro.export.layers import named_operators, schemes_of
from mejiro.export.quiet import quietly
from mejiro.export.recipe import Calibration, Method, Recipe, Scheme

_WEIGHTED = frozenset({"CONV_2D", "FULLY_CONNECTED"})


def find_ranges(
    float_tflite: bytes, tensors: Iterable[NDArray[Any]], recipe: Recipe
) -> dict[str, tuple[float, float]]:
    """Return the range of each tensor of `float_tflite`, chosen as `recipe` says.

    `tensors` are what goes in, one for each picture. A tensor that only layers of int16x8 take and
    give keeps all its values, whatever the method: 65,536 levels leave nothing to gain by
    clipping. Raises CalibrationError for values that are not finite.
    """
    counting = recipe.calibration.method is not Method.MIN_MAX
    return choose_ranges(float_tflite, observe(float_tflite, tensors, counting=counting), recipe)


def choose_ranges(
    float_tflite: bytes, histograms: Mapping[str, Histogram], recipe: Recipe
) -> dict[str, tuple[float, float]]:
    """Return the ranges that `find_ranges` does, from what `observe` has seen."""
    whole = Calibration(Method.MIN_MAX)
    narrow = _tensors_of(float_tflite, recipe, Scheme.INT8)
    return {
        name: clip_range(
            histogram,
            recipe.calibration if name in narrow else whole,
            symmetric=recipe.symmetric and name in narrow,
        )
        for name, histogram in histograms.items()
    }


def observe(
    float_tflite: bytes, tensors: Iterable[NDArray[Any]], *, counting: bool = True
) -> dict[str, Histogram]:
    """Return a histogram of each float tensor that `float_tflite` computes, by its name.

    Without `counting` they hold no more than the least and the greatest value.
    """
    file = TFLiteFile(float_tflite)
    places = [index for one in named_operators(file) for index in one.operator.outputs]
    histograms = {file.tensor(place).name: Histogram(counting=counting) for place in places}
    for interpreter in runs(float_tflite, tensors):
        for place in places:
            histograms[file.tensor(place).name].add(interpreter.get_tensor(place))
    return histograms


def features_of(float_tflite: bytes, tensors: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
    """Return one row for each of `tensors`: what the last layer with weights takes, averaged."""
    file = TFLiteFile(float_tflite)
    weighted = [one for one in file.operators if one.name in _WEIGHTED]
    if not weighted:
        raise ExportError(
            'the network has no convolution or dense layer; choose pictures as "stratified"'
        )
    place = weighted[-1].inputs[0]
    rows = []
    for interpreter in runs(float_tflite, tensors):
        values = interpreter.get_tensor(place)[0]
        rows.append(values.reshape(-1, values.shape[-1]).mean(axis=0))
    return np.stack(rows)


def runs(float_tflite: bytes, tensors: Iterable[NDArray[Any]]) -> Iterator[Any]:
    """Yield an interpreter that holds all that it computed of each of `tensors`, in turn."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with quietly("opening the float file"):
        interpreter = Interpreter(
            model_content=float_tflite,
            num_threads=os.cpu_count() or 1,
            # A delegate would keep what it computes on the way to itself.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    for tensor in tensors:
        interpreter.set_tensor(entry, tensor)
        interpreter.invoke()
        yield interpreter


def _tensors_of(float_tflite: bytes, recipe: Recipe, scheme: Scheme) -> set[str]:
    """Return the names of the tensors that layers of `scheme` take or give."""
    file = TFLiteFile(float_tflite)
    operators = named_operators(file)
    return {
        file.tensor(index).name
        for one, given in zip(operators, schemes_of(operators, recipe), strict=True)
        if given is scheme
        for index in (*one.operator.inputs, *one.operator.outputs)
    }
