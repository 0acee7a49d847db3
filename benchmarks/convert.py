"""Measure how long converting to both int8 formats takes, against the bare converters' own time.

EfficientNet-Lite0 and the default calibration pictures. Compared are

* mejiro: `mejiro.export` for TFLite and ONNX, from the pictures' files to checked files with cards;
* bare: TensorFlow's converter for TFLite, and tf2onnx followed by ONNX Runtime's `quantize_static`
  for ONNX, each as its documentation has it, given the very same pictures as tensors.

The model is built and TensorFlow loaded before the clock starts.

    python benchmarks/convert.py [--quick] [--out FILE]
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np
from numpy.typing import NDArray

from mejiro.data.calibration import CalibrationSet, default_calibration
from mejiro.export import Exporter, export_with
from mejiro.export.quiet import quietly
from mejiro.model import FloatModel
from mejiro.tensorflow import load_tensorflow
from mejiro.zoo import build
from mejiro_runtime.card import Format, Precision

MODEL = "efficientnet-lite0"
ROUNDS, QUICK_ROUNDS = 7, 2
OPSET = 17

Tensor = NDArray[np.float32]
Figures = dict[str, float]


def convert_with_mejiro(model: FloatModel, calibration: CalibrationSet, folder: Path) -> Figures:
    """Return the seconds that each format takes; ONNX is made after TFLite, from what it shares."""
    exporter, seconds = Exporter(model, calibration=calibration), {}
    for format in (Format.TFLITE, Format.ONNX):
        start = time.perf_counter()
        export_with(exporter, format=format, precision=Precision.INT8, out=folder)
        seconds[f"{format.value}_s"] = time.perf_counter() - start
    return seconds


def convert_bare(model: FloatModel, tensors: Sequence[Tensor], folder: Path) -> Figures:
    """Return the seconds that each format takes; the two have nothing to do with each other."""
    seconds = {}
    for name, convert in (("tflite", bare_tflite), ("onnx", bare_onnx)):
        start = time.perf_counter()
        convert(model, tensors, folder / f"bare.{name}")
        seconds[f"{name}_s"] = time.perf_counter() - start
    return seconds


def bare_tflite(model: FloatModel, tensors: Sequence[Tensor], path: Path) -> None:
    """Follow TensorFlow's guide to full integer quantization."""
    tf = load_tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(model.keras_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([tensor] for tensor in tensors)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    path.write_bytes(converter.convert())


def bare_onnx(model: FloatModel, tensors: Sequence[Tensor], path: Path) -> None:
    """Follow tf2onnx's README and ONNX Runtime's guide to static quantization."""
    import tf2onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    tf = load_tensorflow()
    spec = [tf.TensorSpec(model.input.shape, tf.float32, name="input")]
    function = tf.function(lambda pixels: model.keras_model(pixels, training=False))
    plain, prepared = path.with_suffix(".float.onnx"), path.with_suffix(".prepared.onnx")
    tf2onnx.convert.from_function(
        function, input_signature=spec, opset=OPSET, output_path=str(plain)
    )
    quant_pre_process(str(plain), str(prepared))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            self._left = iter(tensors)

        def get_next(self) -> dict[str, Tensor] | None:
            tensor = next(self._left, None)
            return None if tensor is None else {"input": tensor}

    quantization.quantize_static(
        str(prepared),
        str(path),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
    )


def ratios_of(rounds: harness.Rounds) -> list[harness.Ratio]:
    ours, bare = rounds["mejiro"], rounds["bare"]
    name = "both int8 formats, mejiro / bare converters"
    return [
        harness.ratio(name, ours["both_s"], bare["both_s"], limit=1.15),
        harness.ratio("int8 TFLite, mejiro / bare converter", ours["tflite_s"], bare["tflite_s"]),
        harness.ratio("int8 ONNX after TFLite, mejiro / bare", ours["onnx_s"], bare["onnx_s"]),
    ]


def main() -> None:
    options = harness.parse_arguments(__doc__)
    logging.disable(logging.WARNING)
    model, calibration = build(MODEL), default_calibration()
    tensors: list[Any] = list(calibration.tensors(model.input))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def timed(convert: Callable[[], Figures]) -> Callable[[], Figures]:
            def run() -> Figures:
                with quietly("converting"), io.StringIO() as said, contextlib.redirect_stdout(said):
                    seconds = convert()
                return {**seconds, "both_s": sum(seconds.values())}

            return run

        ways = {
            "mejiro": timed(lambda: convert_with_mejiro(model, calibration, folder)),
            "bare": timed(lambda: convert_bare(model, tensors, folder)),
        }
        rounds = harness.take_turns(ways, QUICK_ROUNDS if options.quick else ROUNDS)
    settings = {
        "model": MODEL,
        "calibration": f"{len(tensors)} pictures of {calibration.name}",
    }
    harness.report(options, ratios_of(rounds), settings=settings, rounds=rounds)


if __name__ == "__main__":
    main()
