"""Build GoogLeNet, the first Inception network, from its paper.

Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015 (arXiv:1409.4842), table 1.
Two things depart from it. Each convolution has batch normalization in place of a bias, and there
is no local response normalization: no integer kernel computes that, and with batch normalization
(Ioffe and Szegedy, arXiv:1502.03167) it serves nothing. The two auxiliary classifiers, which
helped gradients through a network without norms and are cut off after training, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.zoo.spec import SIGNED_PIXELS, Architecture, ModelSpec

_DROPOUT = 0.4


@dataclass(frozen=True)
class _Inception:
    """Hold the channels of one block: four branches side by side, as in table 1.

    Before the 3x3 and 5x5 convolutions, and after the pooling, 1x1 convolutions reduce channels.
    """

    name: str
    direct: int
    reduced3: int
    conv3: int
    reduced5: int
    conv5: int
    pooled: int


# None stands for a max pooling of 3x3 by 2.
_BLOCKS: tuple[_Inception | None, ...] = (
    _Inception("3a", 64, 96, 128, 16, 32, 32),
    _Inception("3b", 128, 128, 192, 32, 96, 64),
    None,
    _Inception("4a", 192, 96, 208, 16, 48, 64),
    _Inception("4b", 160, 112, 224, 24, 64, 64),
    _Inception("4c", 128, 128, 256, 24, 64, 64),
    _Inception("4d", 112, 144, 288, 32, 64, 64),
    _Inception("4e", 256, 160, 320, 32, 128, 128),
    None,
    _Inception("5a", 256, 160, 320, 32, 128, 128),
    _Inception("5b", 384, 192, 384, 48, 128, 128),
)


def googlenet(architecture: Architecture) -> Any:
    """Return the network, a functional Keras model with softmax at its end."""
    keras = load_keras()
    layers = keras.layers
    parts = _Parts(layers, architecture.alpha)
    size = architecture.image_size
    inputs = keras.Input((size, size, 3), name="pixels")
    x = parts.convolution(inputs, 64, 7, "conv1", stride=2)
    x = parts.halved(x, "pool1")
    x = parts.convolution(x, 64, 1, "conv2_reduce")
    x = parts.convolution(x, 192, 3, "conv2")
    x = parts.halved(x, "pool2")
    pools = 2
    for block in _BLOCKS:
        if block is None:
            pools += 1
            x = parts.halved(x, f"pool{pools}")
        else:
            x = parts.inception(x, block)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    if architecture.dropout:
        x = layers.Dropout(architecture.dropout, name="dropout")(x)
    x = layers.Dense(architecture.classes, name="classifier")(x)
    return keras.Model(inputs, layers.Softmax(name="probabilities")(x))


@dataclass(frozen=True)
class _Parts:
    """Append layers to a tensor; `alpha` multiplies all channels."""

    layers: Any
    alpha: float

    def convolution(self, x: Any, filters: int, kernel: int, name: str, stride: int = 1) -> Any:
        """Append a convolution with its norm and ReLU."""
        x = self.layers.Conv2D(
            max(1, round(filters * self.alpha)),
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            name=f"{name}_conv",
        )(x)
        x = self.layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
        return self.layers.ReLU(name=f"{name}_relu")(x)

    def halved(self, x: Any, name: str) -> Any:
        """Append a max pooling that halves the sides."""
        return self.layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)

    def inception(self, x: Any, block: _Inception) -> Any:
        """Append one block."""
        name = f"inception{block.name}"
        direct = self.convolution(x, block.direct, 1, f"{name}_1x1")
        conv3 = self.convolution(x, block.reduced3, 1, f"{name}_3x3_reduce")
        conv3 = self.convolution(conv3, block.conv3, 3, f"{name}_3x3")
        conv5 = self.convolution(x, block.reduced5, 1, f"{name}_5x5_reduce")
        conv5 = self.convolution(conv5, block.conv5, 5, f"{name}_5x5")
        pooled = self.layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
        pooled = self.convolution(pooled, block.pooled, 1, f"{name}_pool_project")
        return self.layers.Concatenate(name=name)([direct, conv3, conv5, pooled])


GOOGLENET = ModelSpec(
    name="googlenet",
    family="inception",
    description="GoogLeNet (Inception V1): four branches a block; with batch normalization",
    builder=googlenet,
    image_size=224,
    crop_fraction=0.875,  # 224 of a shorter side of 256
    normalization=SIGNED_PIXELS,
    published_top1=0.687,
    published_in="github.com/BVLC/caffe, models/bvlc_googlenet (the paper's network, no norms)",
    classifier="classifier",
    features="inception5b",
    parameters=7_020_392,
    multiply_adds=1_582_671_872,
    pretrained=None,
    dropout=_DROPOUT,
    has_alpha=True,
)
