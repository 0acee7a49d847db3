"""Build EfficientNet B0 to B7 and EfficientNetV2 B0 to B3, whose weights Keras publishes.

Sources: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019 (arXiv:1905.11946); Tan and Le, "EfficientNetV2: Smaller Models and Faster Training",
ICML 2021 (arXiv:2104.00298). Layers have the names and shapes of keras.applications, so that its
weights fit; they are built here since Keras fixes width and depth, and puts the normalization of
pixels into the network, where Mejiro's files do it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from mejiro.data.normalize import Normalize, scale_and_offset
from mejiro.tensorflow import load_keras
from mejiro.zoo.compound_scaling import Block, Stage, scaled_filters, unroll
from mejiro.zoo.spec import Architecture, ModelSpec, Normalization
from mejiro.zoo.weights import KerasDownload
from mejiro_runtime.types import PixelOrder

_HEAD_FILTERS = 1280
_DROPPED = 0.2  # of the last residual branch while training; earlier ones are dropped less often
_SQUEEZED = 0.25  # of the channels that enter a block
_NORMALIZATION = Normalization(*scale_and_offset(Normalize.IMAGENET, PixelOrder.RGB))

_V1_STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expand=1, filters=16, squeeze=True),
    Stage(repeats=2, kernel=3, stride=2, expand=6, filters=24, squeeze=True),
    Stage(repeats=2, kernel=5, stride=2, expand=6, filters=40, squeeze=True),
    Stage(repeats=3, kernel=3, stride=2, expand=6, filters=80, squeeze=True),
    Stage(repeats=3, kernel=5, stride=1, expand=6, filters=112, squeeze=True),
    Stage(repeats=4, kernel=5, stride=2, expand=6, filters=192, squeeze=True),
    Stage(repeats=1, kernel=3, stride=1, expand=6, filters=320, squeeze=True),
)
_V2_STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expand=1, filters=16, fused=True),
    Stage(repeats=2, kernel=3, stride=2, expand=4, filters=32, fused=True),
    Stage(repeats=2, kernel=3, stride=2, expand=4, filters=48, fused=True),
    Stage(repeats=3, kernel=3, stride=2, expand=4, filters=96, squeeze=True),
    Stage(repeats=5, kernel=3, stride=1, expand=6, filters=112, squeeze=True),
    Stage(repeats=8, kernel=3, stride=2, expand=6, filters=192, squeeze=True),
)


@dataclass(frozen=True)
class Generation:
    """Hold what all networks of EfficientNet, or of EfficientNetV2, have in common."""

    stages: tuple[Stage, ...]
    momentum: float  # of the batch norms' statistics
    depthwise: str  # what Keras calls the depthwise convolution
    rounded_up: bool  # as `scaled_filters` has it


V1 = Generation(_V1_STAGES, momentum=0.99, depthwise="dwconv", rounded_up=True)
V2 = Generation(_V2_STAGES, momentum=0.9, depthwise="dwconv2", rounded_up=False)


@dataclass(frozen=True)
class EfficientNet:
    """Build one network of a generation, scaled by the coefficients of its row."""

    generation: Generation
    width: float
    depth: float

    def __call__(self, architecture: Architecture) -> Any:
        """Return the network, a functional Keras model with softmax at its end."""
        width, depth = self.width * architecture.alpha, self.depth * architecture.depth
        kind = self.generation
        stem, head = (
            scaled_filters(filters, width, rounded_up=kind.rounded_up)
            for filters in (32, _HEAD_FILTERS)
        )
        blocks = unroll(kind.stages, stem, width=width, depth=depth, rounded_up=kind.rounded_up)
        keras = load_keras()
        parts = _Parts(keras.layers, kind)
        size = architecture.image_size
        inputs = keras.Input((size, size, 3), name="pixels")
        x = parts.convolution(inputs, stem, kernel=3, stride=2, name="stem")
        for block in blocks:
            x = parts.block(x, block, _DROPPED * block.place / len(blocks))
        x = parts.convolution(x, head, kernel=1, name="top")
        x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
        if architecture.dropout:
            x = keras.layers.Dropout(architecture.dropout, name="top_dropout")(x)
        x = keras.layers.Dense(
            architecture.classes,
            activation="softmax",
            kernel_initializer=_initializer(1 / 3, "uniform"),
            name="predictions",
        )(x)
        return keras.Model(inputs, x)


def _initializer(scale: float, distribution: str) -> Any:
    return load_keras().initializers.VarianceScaling(
        scale=scale, mode="fan_out", distribution=distribution
    )


@dataclass(frozen=True)
class _Parts:
    """Append layers to a tensor, under the names that Keras gives them."""

    layers: Any
    kind: Generation

    def convolution(self, x: Any, filters: int, *, kernel: int, name: str, stride: int = 1) -> Any:
        """Append a convolution with its norm and swish."""
        x = self._plain(x, filters, kernel=kernel, stride=stride, name=f"{name}_conv")
        return self._normalized(x, name)

    def block(self, inputs: Any, block: Block, dropped: float) -> Any:
        """Append one inverted residual block, fused or not."""
        name = block.name
        x = self._filtered(inputs, block)
        if block.squeeze:
            x = self._squeezed(x, max(1, int(block.filters_in * _SQUEEZED)), name)
        direct = block.fused and block.expand == 1  # the only convolution of its block
        x = self._plain(
            x,
            block.filters,
            kernel=block.kernel if direct else 1,
            stride=block.stride if direct else 1,
            name=f"{name}_project_conv",
        )
        x = self._norm(x, f"{name}_project_bn")
        if direct:
            x = self.layers.Activation("swish", name=f"{name}_project_activation")(x)
        if not block.residual:
            return x
        if dropped:
            # Stochastic depth: one draw for each picture, for the whole branch.
            shape = (None, 1, 1, 1)
            x = self.layers.Dropout(dropped, noise_shape=shape, name=f"{name}_drop")(x)
        return self.layers.Add(name=f"{name}_add")([x, inputs])

    def _filtered(self, x: Any, block: Block) -> Any:
        """Append what expands the channels and filters them in space."""
        filters = block.filters_in * block.expand
        if block.fused:
            if block.expand == 1:
                return x
            name = f"{block.name}_expand"
            return self.convolution(x, filters, kernel=block.kernel, stride=block.stride, name=name)
        if block.expand != 1:
            x = self.convolution(x, filters, kernel=1, name=f"{block.name}_expand")
        x = self.layers.DepthwiseConv2D(
            block.kernel,
            strides=block.stride,
            padding="same",
            use_bias=False,
            depthwise_initializer=_initializer(2.0, "truncated_normal"),
            name=f"{block.name}_{self.kind.depthwise}",
        )(x)
        return self._normalized(x, block.name)

    def _squeezed(self, x: Any, filters: int, name: str) -> Any:
        """Append squeeze-and-excitation: weigh each channel by what all of them show."""
        gate = self.layers.GlobalAveragePooling2D(name=f"{name}_se_squeeze")(x)
        gate = self.layers.Reshape((1, 1, x.shape[-1]), name=f"{name}_se_reshape")(gate)
        for wide, activation, part in (
            (filters, "swish", "reduce"),
            (x.shape[-1], "sigmoid", "expand"),
        ):
            gate = self.layers.Conv2D(
                wide,
                1,
                activation=activation,
                kernel_initializer=_initializer(2.0, "truncated_normal"),
                name=f"{name}_se_{part}",
            )(gate)
        return self.layers.Multiply(name=f"{name}_se_excite")([x, gate])

    def _plain(self, x: Any, filters: int, *, kernel: int, name: str, stride: int = 1) -> Any:
        return self.layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same",
            use_bias=False,
            kernel_initializer=_initializer(2.0, "truncated_normal"),
            name=name,
        )(x)

    def _norm(self, x: Any, name: str) -> Any:
        return self.layers.BatchNormalization(momentum=self.kind.momentum, name=name)(x)

    def _normalized(self, x: Any, name: str) -> Any:
        """Append batch normalization and swish."""
        return self.layers.Activation("swish", name=f"{name}_activation")(
            self._norm(x, f"{name}_bn")
        )


def _published(architecture: Architecture, weights: str | None = None, *, name: str) -> Any:
    """Return the network as keras.applications has it, with its own normalization of pixels."""
    size = architecture.image_size
    application = getattr(load_keras().applications, name)
    return application(input_shape=(size, size, 3), classes=architecture.classes, weights=weights)


def _spec(
    name: str,
    network: EfficientNet,
    image_size: int,
    *,
    dropout: float,
    top1: float,
    cost: tuple[int, int],
) -> ModelSpec:
    """Return one row; `name` is Keras's, `cost` the number of parameters and multiply-adds."""
    second = network.generation is V2
    number = name[-1]
    return ModelSpec(
        name=f"efficientnet{'v2' if second else ''}-b{number}",
        family="efficientnetv2" if second else "efficientnet",
        description=(
            f"EfficientNetV2-B{number}: fused blocks first, quicker to train"
            if second
            else f"EfficientNet-B{number}: swish and squeeze-and-excitation, scaled together"
        ),
        builder=network,
        image_size=image_size,
        # The publisher's evaluation keeps all but a border of 16 pixels at the input's scale.
        crop_fraction=image_size / (image_size + 32),
        normalization=_NORMALIZATION,
        published_top1=top1,
        published_in="keras.io/api/applications",
        classifier="predictions",
        features="top_activation",
        parameters=cost[0],
        multiply_adds=cost[1],
        pretrained=KerasDownload(partial(_published, name=name), normalization=_NORMALIZATION),
        dropout=dropout,
        has_alpha=True,
        has_depth=True,
        has_phi=True,
    )


B0 = _spec(
    "EfficientNetB0",
    EfficientNet(V1, 1.0, 1.0),
    224,
    dropout=0.2,
    top1=0.771,
    cost=(5_330_564, 385_814_752),
)
B1 = _spec(
    "EfficientNetB1",
    EfficientNet(V1, 1.0, 1.1),
    240,
    dropout=0.2,
    top1=0.791,
    cost=(7_856_232, 686_802_832),
)
B2 = _spec(
    "EfficientNetB2",
    EfficientNet(V1, 1.1, 1.2),
    260,
    dropout=0.3,
    top1=0.801,
    cost=(9_177_562, 993_561_872),
)
B3 = _spec(
    "EfficientNetB3",
    EfficientNet(V1, 1.2, 1.4),
    300,
    dropout=0.3,
    top1=0.816,
    cost=(12_320_528, 1_827_141_392),
)
B4 = _spec(
    "EfficientNetB4",
    EfficientNet(V1, 1.4, 1.8),
    380,
    dropout=0.4,
    top1=0.829,
    cost=(19_466_816, 4_393_771_024),
)
B5 = _spec(
    "EfficientNetB5",
    EfficientNet(V1, 1.6, 2.2),
    456,
    dropout=0.4,
    top1=0.836,
    cost=(30_562_520, 10_266_384_752),
)
B6 = _spec(
    "EfficientNetB6",
    EfficientNet(V1, 1.8, 2.6),
    528,
    dropout=0.5,
    top1=0.84,
    cost=(43_265_136, 19_067_593_536),
)
B7 = _spec(
    "EfficientNetB7",
    EfficientNet(V1, 2.0, 3.1),
    600,
    dropout=0.5,
    top1=0.843,
    cost=(66_658_680, 37_745_884_192),
)
V2_B0 = _spec(
    "EfficientNetV2B0",
    EfficientNet(V2, 1.0, 1.0),
    224,
    dropout=0.2,
    top1=0.787,
    cost=(7_200_312, 718_086_176),
)
V2_B1 = _spec(
    "EfficientNetV2B1",
    EfficientNet(V2, 1.0, 1.1),
    240,
    dropout=0.2,
    top1=0.798,
    cost=(8_212_124, 1_196_819_360),
)
V2_B2 = _spec(
    "EfficientNetV2B2",
    EfficientNet(V2, 1.1, 1.2),
    260,
    dropout=0.2,
    top1=0.805,
    cost=(10_178_374, 1_697_542_832),
)
V2_B3 = _spec(
    "EfficientNetV2B3",
    EfficientNet(V2, 1.2, 1.4),
    300,
    dropout=0.2,
    top1=0.82,
    cost=(14_467_622, 3_011_458_816),
)
