"""Build MobileNet V1, V2 and V3 as keras.applications has them.

Sources: Howard et al., "MobileNets" (arXiv:1704.04861); Sandler et al., "MobileNetV2"
(arXiv:1801.04381); Howard et al., "Searching for MobileNetV3" (arXiv:1905.02244). Published
accuracies are those that Keras states for the weights it offers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.zoo.spec import SIGNED_PIXELS, Architecture, ModelSpec
from mejiro.zoo.weights import KerasDownload

_TABLE = "keras.io/api/applications"
_TABLE_V3 = "keras.io/api/applications/mobilenet"


def _shared(architecture: Architecture, weights: str | None) -> dict[str, Any]:
    size = architecture.image_size
    return {
        "input_shape": (size, size, 3),
        "alpha": architecture.alpha,
        "classes": architecture.classes,
        "weights": weights,
    }


def _v1(architecture: Architecture, weights: str | None = None) -> Any:
    return load_keras().applications.MobileNet(
        dropout=architecture.dropout, **_shared(architecture, weights)
    )


def _v2(architecture: Architecture, weights: str | None = None) -> Any:
    return load_keras().applications.MobileNetV2(**_shared(architecture, weights))


def _v3(
    architecture: Architecture,
    weights: str | None = None,
    *,
    size: str,
    minimalistic: bool = False,
) -> Any:
    application = getattr(load_keras().applications, f"MobileNetV3{size}")
    return application(
        dropout_rate=architecture.dropout,
        minimalistic=minimalistic,
        include_preprocessing=False,
        **_shared(architecture, weights),
    )


def _spec(
    name: str,
    description: str,
    application: Any,
    *,
    top1: float,
    layers: tuple[str, str],
    cost: tuple[int, int],
    widths: tuple[float, ...],
    dropout: float | None,
) -> ModelSpec:
    """Return one row; all of them were trained on pixels in -1..1 at 224 x 224.

    `layers` names the classifier and the features, `cost` is parameters and multiply-adds.
    """
    return ModelSpec(
        name=name,
        family="mobilenet",
        description=description,
        builder=application,
        image_size=224,
        # The central crop of TF-Slim's evaluation, which the published figures come from.
        crop_fraction=0.875,
        normalization=SIGNED_PIXELS,
        published_top1=top1,
        published_in=_TABLE_V3 if "-v3" in name else _TABLE,
        classifier=layers[0],
        features=layers[1],
        parameters=cost[0],
        multiply_adds=cost[1],
        pretrained=KerasDownload(application, widths),
        dropout=dropout,
        has_alpha=True,
    )


V1 = _spec(
    "mobilenet-v1",
    "MobileNet V1: depthwise separable convolutions, the plainest of the family",
    _v1,
    top1=0.704,
    layers=("conv_preds", "conv_pw_13_relu"),
    cost=(4_253_864, 568_740_352),
    widths=(0.25, 0.5, 0.75, 1.0),
    dropout=0.001,
)
V2 = _spec(
    "mobilenet-v2",
    "MobileNet V2: inverted residuals and linear bottlenecks",
    _v2,
    top1=0.713,
    layers=("predictions", "out_relu"),
    cost=(3_538_984, 300_774_272),
    widths=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    dropout=None,
)
V3_SMALL = _spec(
    "mobilenet-v3-small",
    "MobileNet V3 Small: hard swish and squeeze-and-excitation, for the slowest devices",
    partial(_v3, size="Small"),
    top1=0.681,
    layers=("logits", "activation_17"),
    cost=(2_554_968, 56_510_400),
    widths=(0.75, 1.0),
    dropout=0.2,
)
V3_LARGE = _spec(
    "mobilenet-v3-large",
    "MobileNet V3 Large: hard swish and squeeze-and-excitation",
    partial(_v3, size="Large"),
    top1=0.756,
    layers=("logits", "activation_19"),
    cost=(5_507_432, 216_589_760),
    widths=(0.75, 1.0),
    dropout=0.2,
)
V3_SMALL_MINIMALISTIC = _spec(
    "mobilenet-v3-small-minimalistic",
    "MobileNet V3 Small with ReLU and 3x3 kernels alone: quantizes best of the V3s",
    partial(_v3, size="Small", minimalistic=True),
    top1=0.619,
    layers=("logits", "re_lu_22"),
    cost=(2_056_848, 52_288_448),
    widths=(1.0,),
    dropout=0.2,
)
V3_LARGE_MINIMALISTIC = _spec(
    "mobilenet-v3-large-minimalistic",
    "MobileNet V3 Large with ReLU and 3x3 kernels alone: quantizes best of the V3s",
    partial(_v3, size="Large", minimalistic=True),
    top1=0.723,
    layers=("logits", "re_lu_30"),
    cost=(3_948_688, 209_136_704),
    widths=(1.0,),
    dropout=0.2,
)
