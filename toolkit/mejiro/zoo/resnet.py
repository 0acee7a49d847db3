"""Build ResNet and ResNet V2 of 50, 101 and 152 layers, whose weights Keras publishes.

Sources: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385),
and "Identity Mappings in Deep Residual Networks", ECCV 2016 (arXiv:1603.05027). Layers have the
names and shapes of keras.applications, so that its weights fit; they are built here since Keras
fixes the number of blocks and their width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.zoo.spec import CAFFE_PIXELS, SIGNED_PIXELS, Architecture, ModelSpec
from mejiro.zoo.weights import KerasDownload

_FILTERS = (64, 128, 256, 512)
_WIDENING = 4  # from the inner channels of a block to those between blocks
_EPSILON = 1.001e-5


@dataclass(frozen=True)
class ResNet:
    """Build one of the family. `blocks` counts those of each of the four stages."""

    blocks: tuple[int, int, int, int]
    preactivated: bool  # V2: norm and ReLU stand before the convolutions of a block

    def __call__(self, architecture: Architecture) -> Any:
        """Return the network, a functional Keras model with softmax at its end."""
        keras = load_keras()
        layers = keras.layers
        parts = _Parts(layers)
        size = architecture.image_size
        inputs = keras.Input((size, size, 3), name="pixels")
        x = layers.ZeroPadding2D(3, name="conv1_pad")(inputs)
        stem = max(1, round(64 * architecture.alpha))
        x = layers.Conv2D(stem, 7, strides=2, name="conv1_conv")(x)
        if not self.preactivated:
            x = parts.normalized(x, "conv1")
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
        stage = self._stage_v2 if self.preactivated else self._stage_v1
        for number, (filters, blocks) in enumerate(zip(_FILTERS, self.blocks, strict=True)):
            inner = max(1, round(filters * architecture.alpha))
            x = stage(parts, x, inner, math.ceil(blocks * architecture.depth), number)
        if self.preactivated:
            x = parts.normalized(x, "post")
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(architecture.classes, activation="softmax", name="predictions")(x)
        return keras.Model(inputs, x)

    @staticmethod
    def _stage_v1(parts: _Parts, x: Any, filters: int, blocks: int, number: int) -> Any:
        """Append one stage; its first block halves the sides, but for the first stage's."""
        for block in range(1, blocks + 1):
            first = block == 1
            stride = 2 if first and number else 1
            last = number == len(_FILTERS) - 1 and block == blocks
            name = f"conv{number + 2}_block{block}"
            out = FEATURES_V1 if last else f"{name}_out"
            x = parts.block_v1(x, filters, stride=stride, projected=first, names=(name, out))
        return x

    @staticmethod
    def _stage_v2(parts: _Parts, x: Any, filters: int, blocks: int, number: int) -> Any:
        """Append one stage; its last block halves the sides, but for the last stage's."""
        for block in range(1, blocks + 1):
            stride = 2 if block == blocks and number < len(_FILTERS) - 1 else 1
            name = f"conv{number + 2}_block{block}"
            x = parts.block_v2(x, filters, stride=stride, projected=block == 1, name=name)
        return x


FEATURES_V1, FEATURES_V2 = "conv5_out", "post_relu"


@dataclass(frozen=True)
class _Parts:
    """Append layers to a tensor, under the names that Keras gives them."""

    layers: Any

    def norm(self, x: Any, name: str) -> Any:
        return self.layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)

    def normalized(self, x: Any, name: str) -> Any:
        """Append batch normalization and ReLU."""
        return self.layers.Activation("relu", name=f"{name}_relu")(self.norm(x, name))

    def block_v1(
        self, inputs: Any, filters: int, *, stride: int, projected: bool, names: tuple[str, str]
    ) -> Any:
        """Append a bottleneck; `projected` says that the shortcut has a convolution."""
        name, out = names
        wide = filters * _WIDENING
        shortcut = inputs
        if projected:
            shortcut = self.layers.Conv2D(wide, 1, strides=stride, name=f"{name}_0_conv")(inputs)
            shortcut = self.norm(shortcut, f"{name}_0")
        x = self.layers.Conv2D(filters, 1, strides=stride, name=f"{name}_1_conv")(inputs)
        x = self.normalized(x, f"{name}_1")
        x = self.layers.Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x)
        x = self.normalized(x, f"{name}_2")
        x = self.layers.Conv2D(wide, 1, name=f"{name}_3_conv")(x)
        x = self.norm(x, f"{name}_3")
        x = self.layers.Add(name=f"{name}_add")([shortcut, x])
        return self.layers.Activation("relu", name=out)(x)

    def block_v2(
        self, inputs: Any, filters: int, *, stride: int, projected: bool, name: str
    ) -> Any:
        """Append a bottleneck whose norms stand before its convolutions."""
        wide = filters * _WIDENING
        ready = self.normalized(inputs, f"{name}_preact")
        if projected:
            shortcut = self.layers.Conv2D(wide, 1, strides=stride, name=f"{name}_0_conv")(ready)
        elif stride > 1:
            shortcut = self.layers.MaxPooling2D(1, strides=stride, name=f"{name}_0_pool")(inputs)
        else:
            shortcut = inputs
        x = self.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(ready)
        x = self.normalized(x, f"{name}_1")
        x = self.layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
        x = self.layers.Conv2D(filters, 3, strides=stride, use_bias=False, name=f"{name}_2_conv")(x)
        x = self.normalized(x, f"{name}_2")
        x = self.layers.Conv2D(wide, 1, name=f"{name}_3_conv")(x)
        return self.layers.Add(name=f"{name}_out")([shortcut, x])


def _published(architecture: Architecture, weights: str | None = None, *, name: str) -> Any:
    """Return the network as keras.applications has it."""
    size = architecture.image_size
    application = getattr(load_keras().applications, name)
    return application(input_shape=(size, size, 3), classes=architecture.classes, weights=weights)


_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def _spec(layers: int, *, second: bool, top1: float, cost: tuple[int, int]) -> ModelSpec:
    """Return one row; `cost` is the number of parameters and of multiply-adds."""
    generation = " V2" if second else ""
    kind = "norms before convolutions" if second else "residual bottlenecks"
    return ModelSpec(
        name=f"resnet{layers}" + ("-v2" if second else ""),
        family="resnet",
        description=f"ResNet{layers}{generation}: {kind}",
        builder=ResNet(_BLOCKS[layers], preactivated=second),
        image_size=224,
        crop_fraction=0.875,  # 224 of a shorter side of 256
        normalization=SIGNED_PIXELS if second else CAFFE_PIXELS,
        published_top1=top1,
        published_in="keras.io/api/applications",
        classifier="predictions",
        features=FEATURES_V2 if second else FEATURES_V1,
        parameters=cost[0],
        multiply_adds=cost[1],
        pretrained=KerasDownload(
            partial(_published, name=f"ResNet{layers}{'V2' if second else ''}")
        ),
        has_alpha=True,
        has_depth=True,
    )


RESNET50 = _spec(50, second=False, top1=0.749, cost=(25_636_712, 3_857_973_248))
RESNET101 = _spec(101, second=False, top1=0.764, cost=(44_707_176, 7_570_194_432))
RESNET152 = _spec(152, second=False, top1=0.766, cost=(60_419_944, 11_282_415_616))
RESNET50_V2 = _spec(50, second=True, top1=0.760, cost=(25_613_800, 3_482_255_360))
RESNET101_V2 = _spec(101, second=True, top1=0.772, cost=(44_675_560, 7_194_476_544))
RESNET152_V2 = _spec(152, second=True, top1=0.780, cost=(60_380_648, 10_906_697_728))
