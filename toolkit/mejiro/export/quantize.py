"""Quantize a float TFLite file by a recipe, with AI Edge Quantizer and ranges found by others."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import redirect_stderr
from typing import Any

import numpy as np

from mejiro.errors import ExportError
from mejiro.export.bias_room import widened_kernels
from mejiro.export.flatbuffer import Tensor, TFLiteFile
from mejiro.export.graph import Entry, trace
from mejiro.export.layers import NamedOperator, named_operators, schemes_of
from mejiro.export.linear_head import LinearHead
from mejiro.export.normalization import exact_quantization
from mejiro.export.quiet import quietly
from mejiro.export.recipe import Recipe, Scheme
from mejiro.export.tflite import PIXEL_QUANTIZATION, converter_of
from mejiro.model import FloatModel
from mejiro.tensorflow import load_tensorflow
from mejiro_runtime.preprocess import Quantization

Ranges = Mapping[str, tuple[float, float]]

_NO_QUANTIZE, _MIN_MAX, _CASTING = "no_quantize", "min_max_uniform_quantize", "float_casting"
# Its scores are probabilities, which the contract keeps in float; see `take_softmax_in_float`.
_FLOAT_BY_CONTRACT = frozenset({"SOFTMAX"})


def convert_for_quantization(model: FloatModel, head: LinearHead | None = None) -> bytes:
    """Return `model` as a float TFLite file whose input is what a quantized file dequantizes to.

    Batch norms are folded away. The input is float32, see `tflite.calibration_input`; the outputs
    are those of `convert_float`. Raises ExportError if the converter cannot take the model.
    """
    tf = load_tensorflow()
    exact = exact_quantization(model.input)
    traced = trace(model, Entry.PIXELS if exact is None else Entry.NORMALIZED, head)
    with quietly(f"converting {model.name} to TFLite fp32"):
        file = TFLiteFile(converter_of(tf, traced).convert())
        file.put_scores_first()
        file.name_apart()
        return file.to_bytes()


def pixel_quantization(model: FloatModel) -> Quantization:
    """Return how a quantized file of `model` reads its uint8 pixels."""
    return exact_quantization(model.input) or PIXEL_QUANTIZATION


def quantize(float_tflite: bytes, recipe: Recipe, ranges: Ranges, *, pixels: Quantization) -> bytes:
    """Return the file of `convert_for_quantization`, quantized as `recipe` says.

    `ranges` has the least and the greatest value of each tensor that a layer of int8 or int16x8
    takes or gives, by its name in the file; they are widened to hold 0. `pixels` says how bytes
    become what the float file takes. The quantized file takes uint8 pixels and gives float32; the
    softmax is computed in float. Weights are int8 by channel, symmetric.

    Raises UsageError for a rule that matches no layer, ExportError for a layer that cannot have
    its scheme and for a range that is missing.
    """
    file = TFLiteFile(float_tflite)
    operators, schemes = _plan(file, recipe)
    entry = file.inputs[0].name
    known = {**ranges, entry: _range_of(pixels)}
    statistics = _statistics(file, operators, schemes, known)
    int8 = [
        one.operator
        for one, scheme in zip(operators, schemes, strict=True)
        if scheme is Scheme.INT8
    ]
    statistics |= widened_kernels(file, int8, statistics, symmetric=recipe.symmetric)
    with quietly("quantizing with AI Edge Quantizer"):
        from ai_edge_quantizer import quantizer

        _refuse_impossible(operators, schemes, recipe)
        work = quantizer.Quantizer(bytearray(float_tflite))
        work.load_quantization_recipe(_rules(entry, operators, schemes, recipe))
        # It draws a progress bar whatever it is told.
        with redirect_stderr(io.StringIO()):
            result = work.quantize(
                statistics, enable_progress_bar=False, enable_progress_report=False
            )
        quantized = TFLiteFile(bytes(result.quantized_model))
        quantized.set_input_quantization(pixels)
        quantized.widen_by_way_of_float()
        quantized.repeat_operator_codes()
        return quantized.to_bytes()


def refuse_unfit(float_tflite: bytes, recipe: Recipe) -> None:
    """Raise what `quantize` would raise for a recipe that does not fit the network."""
    operators, schemes = _plan(TFLiteFile(float_tflite), recipe)
    _refuse_impossible(operators, schemes, recipe)


def _plan(file: TFLiteFile, recipe: Recipe) -> tuple[list[NamedOperator], list[Scheme]]:
    """Return the operators that compute on floats, and the scheme of each."""
    operators = named_operators(file)
    schemes = [
        Scheme.FLOAT if one.operator.name in _FLOAT_BY_CONTRACT else scheme
        for one, scheme in zip(operators, schemes_of(operators, recipe), strict=True)
    ]
    return operators, schemes


def _range_of(pixels: Quantization) -> tuple[float, float]:
    """Return the real values of the bytes 0 and 255."""
    low, high = (pixels.scale * (byte - pixels.zero_point) for byte in (0, 255))
    return low, high


def _statistics(
    file: TFLiteFile, operators: list[NamedOperator], schemes: list[Scheme], ranges: Ranges
) -> dict[str, dict[str, Any]]:
    """Return the ranges of the tensors that become integers, as AI Edge Quantizer takes them."""
    entry = file.inputs[0]
    statistics = {entry.name: _statistic(entry, *ranges[entry.name])}
    for one, scheme in zip(operators, schemes, strict=True):
        if scheme not in (Scheme.INT8, Scheme.INT16X8):
            continue
        for index in (*one.operator.inputs, *one.operator.outputs):
            tensor = file.tensor(index)
            if tensor.constant or tensor.dtype != "float32":
                continue
            if tensor.name not in ranges:
                raise ExportError(
                    f"the range of '{tensor.name}' is not known, but its layer is to be "
                    f"{scheme.value}; calibrate all layers"
                )
            low, high = ranges[tensor.name]
            if not (np.isfinite(low) and np.isfinite(high) and low <= high):
                raise ExportError(f"the range of '{tensor.name}' cannot be {low:g} to {high:g}")
            statistics[tensor.name] = _statistic(tensor, low, high)
    return statistics


def _statistic(tensor: Tensor, low: float, high: float) -> dict[str, Any]:
    shape = (1,) * len(tensor.shape)
    return {
        "min": np.full(shape, min(low, 0.0), np.float32),
        "max": np.full(shape, max(high, 0.0), np.float32),
    }


def _refuse_impossible(
    operators: list[NamedOperator], schemes: list[Scheme], recipe: Recipe
) -> None:
    """Raise ExportError for a layer that AI Edge Quantizer would silently leave in float."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_quantizer import algorithm_manager, qtyping
    from ai_edge_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_CODE_TO_NAME

    for one, scheme in zip(operators, schemes, strict=True):
        if scheme not in (Scheme.INT8, Scheme.INT16X8):
            continue
        name = one.operator.name
        known = TFL_OP_CODE_TO_NAME.get(getattr(schema.BuiltinOperator, name, None))
        config = qtyping.OpQuantizationConfig.from_dict(_configuration(scheme, recipe)[1])
        try:
            if known is None:
                raise ValueError
            algorithm_manager.check_op_quantization_config(_MIN_MAX, known, config)
        except ValueError:
            layer = one.layers[0] if one.layers else one.tensor
            raise ExportError(
                f"'{layer}' is a {name}, which cannot be {scheme.value}; "
                'give it "float" in the recipe'
            ) from None


def _rules(
    entry: str, operators: list[NamedOperator], schemes: list[Scheme], recipe: Recipe
) -> list[dict[str, Any]]:
    """Return the recipe as AI Edge Quantizer takes it; of its rules, too, the last decides."""
    rules = []
    for scheme in Scheme:
        names = [
            one.tensor
            for one, given in zip(operators, schemes, strict=True)
            if given is scheme and scheme is not Scheme.FLOAT
        ]
        if names:
            algorithm, config = _configuration(scheme, recipe)
            rules.append(_rule(names, "*", algorithm, config))
    # The outputs leave as float32, whatever made them.
    rules.append({"regex": "", "operation": "OUTPUT", "algorithm_key": _NO_QUANTIZE})
    uint8 = {**_integers(8, symmetric=False), "dtype": "UINT"}
    rules.append(_rule([entry], "INPUT", _MIN_MAX, _static(uint8)))
    return rules


def _rule(
    names: list[str], operation: str, algorithm: str, config: dict[str, Any]
) -> dict[str, Any]:
    # An operator is matched by the names of its outputs, each followed by a semicolon.
    return {
        "regex": f"^(?:{'|'.join(map(re.escape, names))});",
        "operation": operation,
        "algorithm_key": algorithm,
        "op_config": config,
    }


def _configuration(scheme: Scheme, recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """Return the algorithm of a scheme other than FLOAT, and its settings."""
    if scheme is Scheme.FLOAT16:
        weights = {"num_bits": 16, "granularity": "TENSORWISE", "dtype": "FLOAT"}
        return _CASTING, {
            "weight_tensor_config": weights,
            "compute_precision": "FLOAT",
            "explicit_dequantize": True,
        }
    if scheme is Scheme.INT16X8:
        return _MIN_MAX, _static(_integers(16, symmetric=True))
    return _MIN_MAX, _static(_integers(8, symmetric=recipe.symmetric))


def _integers(bits: int, *, symmetric: bool) -> dict[str, Any]:
    return {
        "num_bits": bits,
        "symmetric": symmetric,
        "granularity": "TENSORWISE",
        "dtype": "INT",
    }


def _static(activations: dict[str, Any]) -> dict[str, Any]:
    weights = {**_integers(8, symmetric=True), "granularity": "CHANNELWISE"}
    return {
        "activation_tensor_config": activations,
        "weight_tensor_config": weights,
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }
