"""Build VGG16 and VGG19 as keras.applications has them.

Source: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015 (arXiv:1409.1556). They are here to compare with: nine tenths of their
parameters are those of the first dense layer, which transfer learning leaves out.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.zoo.spec import CAFFE_PIXELS, Architecture, ModelSpec
from mejiro.zoo.weights import KerasDownload


def _vgg(architecture: Architecture, weights: str | None = None, *, name: str) -> Any:
    size = architecture.image_size
    application = getattr(load_keras().applications, name)
    return application(input_shape=(size, size, 3), classes=architecture.classes, weights=weights)


def _spec(layers: int, *, cost: tuple[int, int]) -> ModelSpec:
    """Return one row; `cost` is the number of parameters and of multiply-adds."""
    application = partial(_vgg, name=f"VGG{layers}")
    return ModelSpec(
        name=f"vgg{layers}",
        family="vgg",
        description=f"VGG{layers}: plain 3x3 convolutions and three dense layers",
        builder=application,
        image_size=224,
        crop_fraction=0.875,  # 224 of a shorter side of 256
        normalization=CAFFE_PIXELS,
        published_top1=0.713,
        published_in="keras.io/api/applications",
        classifier="predictions",
        features="block5_pool",
        parameters=cost[0],
        multiply_adds=cost[1],
        pretrained=KerasDownload(application),
    )


VGG16 = _spec(16, cost=(138_357_544, 15_470_264_320))
VGG19 = _spec(19, cost=(143_667_240, 19_632_062_464))
