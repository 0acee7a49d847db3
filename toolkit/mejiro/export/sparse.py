"""Write a network of many zeros as a float TFLite file that leaves the zeros out."""

from __future__ import annotations

from mejiro.export.graph import Entry, trace
from mejiro.export.quiet import quietly
from mejiro.export.tflite import check_float
from mejiro.model import FloatModel
from mejiro.tensorflow import load_tensorflow
from mejiro_runtime.card import Precision


def convert_sparse(model: FloatModel) -> bytes:
    """Return `model` as an fp32 TFLite file whose sparse weights are encoded as such.

    The converter decides which weights are sparse enough. An engine without sparse kernels makes
    them dense again when it opens the file, by a DENSIFY operator before each layer. Raises
    ExportError if the converter cannot take the model.
    """
    tf = load_tensorflow()
    traced = trace(model, Entry.BYTES, None)
    with quietly(f"converting {model.name} to sparse TFLite"):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], traced)
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        data: bytes = converter.convert()
    check_float(data, model, Precision.FP32)
    return data
