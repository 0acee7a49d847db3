"""Build Inception V3 and Inception-ResNet V2 as keras.applications has them.

Sources: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016
(arXiv:1512.00567), and "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", AAAI 2017 (arXiv:1602.07261).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.zoo.spec import SIGNED_PIXELS, Architecture, ModelSpec
from mejiro.zoo.weights import KerasDownload


def _inception(architecture: Architecture, weights: str | None = None, *, name: str) -> Any:
    size = architecture.image_size
    application = getattr(load_keras().applications, name)
    return application(input_shape=(size, size, 3), classes=architecture.classes, weights=weights)


def _spec(
    name: str,
    application: str,
    description: str,
    *,
    top1: float,
    features: str,
    cost: tuple[int, int],
) -> ModelSpec:
    """Return one row; `cost` is the number of parameters and of multiply-adds."""
    builder = partial(_inception, name=application)
    return ModelSpec(
        name=name,
        family="inception",
        description=description,
        builder=builder,
        image_size=299,
        crop_fraction=0.875,
        normalization=SIGNED_PIXELS,
        published_top1=top1,
        published_in="keras.io/api/applications",
        classifier="predictions",
        features=features,
        parameters=cost[0],
        multiply_adds=cost[1],
        pretrained=KerasDownload(builder),
        min_image_size=75,
    )


V3 = _spec(
    "inception-v3",
    "InceptionV3",
    "Inception V3: large convolutions taken apart into small and one-sided ones",
    top1=0.779,
    features="mixed10",
    cost=(23_851_784, 5_713_216_096),
)
RESNET_V2 = _spec(
    "inception-resnet-v2",
    "InceptionResNetV2",
    "Inception-ResNet V2: Inception blocks as residual branches",
    top1=0.803,
    features="conv_7b_ac",
    cost=(55_873_736, 13_155_794_016),
)
