"""Make a float model one graph: one picture in, one row of probabilities out.

With the head of a model its last feature map comes out as well.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from mejiro.errors import ExportError
from mejiro.export.linear_head import LinearHead
from mejiro.export.normalization import exported_input, normalization_matrix
from mejiro.export.quiet import quietly
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import PixelOrder

INPUT_NAME = "pixels"
OUTPUT_NAME = "probabilities"
FEATURES_NAME = "features"


class Entry(str, Enum):
    """Say what the graph's input holds, and so what the graph still has to do to it."""

    BYTES = "bytes"  # uint8 pixels: cast and normalize
    PIXELS = "pixels"  # float32 pixels 0..255: normalize, by an operation that quantizes well
    NORMALIZED = "normalized"  # what the Keras model takes


def trace(model: FloatModel, entry: Entry, head: LinearHead | None = None) -> Any:
    """Return a concrete TensorFlow function of `model`, which holds the model's variables.

    It takes (1, height, width, channels), uint8 or float32 as `entry` says, and gives float32
    probabilities (1, classes): a model of logits gets its softmax. With `head` it also gives the
    float32 features (1, height, width, channels). Raises ExportError if the Keras model takes or
    gives anything else, or cannot be traced.
    """
    _check_inputs(model)
    exported = exported_input(model.input)
    load_keras()
    tf = load_tensorflow()

    def run(pixels: Any) -> Any:
        values = _normalize(tf, pixels, model.input, entry)
        if head is None:
            made, features = model.keras_model(values, training=False), None
        else:
            made, features = head.run(values)
        scores = tf.cast(_only_output(model, made), tf.float32)
        if model.scores is Scores.LOGITS:
            scores = tf.nn.softmax(scores)
        scores = tf.identity(scores, name=OUTPUT_NAME)
        if features is None:
            return scores
        return scores, tf.identity(tf.cast(features, tf.float32), name=FEATURES_NAME)

    dtype = tf.uint8 if entry is Entry.BYTES else tf.float32
    signature = tf.TensorSpec(exported.shape, dtype, name=INPUT_NAME)
    with quietly(f"tracing {model.name}"):
        return tf.function(run, input_signature=[signature]).get_concrete_function()


def _normalize(tf: Any, pixels: Any, spec: InputSpec, entry: Entry) -> Any:
    """Return what the Keras model takes, computed from what the graph takes."""
    if entry is Entry.NORMALIZED:
        return pixels
    matrix, offset = normalization_matrix(spec)
    if entry is Entry.PIXELS:
        # One convolution rounds once when it is quantized; a product and a sum would round twice.
        channels = len(offset)
        if spec.order is PixelOrder.BGR:
            kernel = tf.constant(matrix.reshape(1, 1, channels, channels))
            return tf.nn.conv2d(pixels, kernel, 1, "VALID") + offset
        kernel = tf.constant(matrix.diagonal().reshape(1, 1, channels, 1))
        return tf.nn.depthwise_conv2d(pixels, kernel, [1, 1, 1, 1], "VALID") + offset
    values = tf.cast(pixels, tf.float32)
    if spec.order is PixelOrder.BGR:
        values = tf.reverse(values, axis=[-1])
    scale = matrix.sum(axis=0)
    if (scale != 1.0).any():
        values = values * scale
    return values + offset if offset.any() else values


def _check_inputs(model: FloatModel) -> None:
    """Raise ExportError unless the Keras model has one input of the specified shape."""
    inputs = getattr(model.keras_model, "inputs", None)
    if inputs is None:
        return  # a subclassed model that was never called; tracing will tell
    if len(inputs) != 1:
        names = ", ".join(str(value.name) for value in inputs)
        raise ExportError(
            f"{model.name} has {len(inputs)} inputs ({names}); Mejiro converts classifiers of one "
            "picture"
        )
    wanted, given = exported_input(model.input).shape[1:], tuple(inputs[0].shape[1:])
    if len(given) != 3 or any(
        size not in (None, need) for size, need in zip(given, wanted, strict=True)
    ):
        raise ExportError(
            f"{model.name} takes pictures of shape {list(given)}, its input specification says "
            f"{list(wanted)}; correct one of the two"
        )


def _only_output(model: FloatModel, result: Any) -> Any:
    """Return the one output, a row with a score for each label, or raise ExportError."""
    values = list(result.values()) if isinstance(result, dict) else result
    outputs = values if isinstance(values, list | tuple) else [values]
    if len(outputs) != 1:
        raise ExportError(
            f"{model.name} has {len(outputs)} outputs; Mejiro converts classifiers of one output"
        )
    shape = tuple(outputs[0].shape)
    if len(shape) != 2 or shape[0] != 1:
        raise ExportError(
            f"{model.name} gives scores of shape {list(shape)}; a row of classes, [1, N], is needed"
        )
    if model.labels and shape[1] != len(model.labels):
        raise ExportError(
            f"{model.name} gives {shape[1]} scores for {len(model.labels)} labels; "
            "give one label for each class"
        )
    return outputs[0]
