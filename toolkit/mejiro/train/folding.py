"""Compute frozen batch normalization inside the convolution before it, while training.

With its statistics frozen, y = (x - mean) * gamma / sqrt(variance + epsilon) + beta is a factor
and a term for each channel, which can as well be those of the convolution's own kernel. Keras
passes over the whole feature map for each of them, forwards and backwards; that is a quarter of
a training step of EfficientNet-Lite0 on a CPU. Variables, and what they mean, stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mejiro.tensorflow import load_keras


@contextmanager
def folded(backbone: Sequence[Any]) -> Iterator[None]:
    """Fold while the block runs; graphs that are traced in it stay so. Others are as ever.

    `backbone` are layers of one network. Only pairs are folded that nothing else looks into.
    """
    pairs = list(_pairs(backbone))
    for convolution, normalization in pairs:
        convolution.call = _folded_call(convolution, normalization)
        normalization.call = _pass
    try:
        yield
    finally:
        for pair in pairs:
            for layer in pair:
                del layer.call


def _pass(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    return inputs


def _pairs(backbone: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each convolution and the frozen batch normalization that alone follows it."""
    keras = load_keras()
    layers = keras.layers
    makers: dict[int, Any] = {id(layer.output): layer for layer in backbone}
    readers: dict[int, int] = {}
    for layer in backbone:
        for tensor in keras.tree.flatten(layer.input):
            readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    for layer in backbone:
        if not isinstance(layer, layers.BatchNormalization) or layer.trainable:
            continue
        before: Any = makers.get(id(layer.input))
        if (
            type(before) in (layers.Conv2D, layers.DepthwiseConv2D)
            and before.activation is keras.activations.linear
            and before.data_format == "channels_last"
            and before.compute_dtype == layer.compute_dtype == "float32"
            and layer.axis in (-1, 3)
            and readers[id(layer.input)] == 1
        ):
            yield before, layer


def _folded_call(convolution: Any, normalization: Any) -> Any:
    """Return what the two layers compute, one after the other, as one convolution."""
    keras = load_keras()
    ops = keras.ops
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    convolve = ops.depthwise_conv if depthwise else ops.conv

    def call(inputs: Any) -> Any:
        factor = ops.rsqrt(normalization.moving_variance + normalization.epsilon)
        if normalization.gamma is not None:
            factor = factor * normalization.gamma
        term = -normalization.moving_mean * factor
        if normalization.beta is not None:
            term = term + normalization.beta
        if convolution.use_bias:
            term = term + convolution.bias * factor
        kernel = convolution.kernel
        # A depthwise kernel is (height, width, channels, multiplier).
        shape = kernel.shape[2:] if depthwise else (1, kernel.shape[3])
        outputs = convolve(
            inputs,
            kernel * ops.reshape(factor, shape),
            strides=convolution.strides,
            padding=convolution.padding,
            dilation_rate=convolution.dilation_rate,
            data_format=convolution.data_format,
        )
        return outputs + term

    return call
