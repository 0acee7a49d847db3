"""Work out which places of a feature map speak for a class: plain arithmetic on two arrays.

Both methods take the features A (height, width, channels) that a layer gave, and the gradients of
a class's score, before any softmax, with respect to them. What is negative speaks for other
classes and is cut off.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]


class Method(str, Enum):
    """Name a way to explain an answer."""

    GRADCAM = "gradcam"
    GRADCAM_PLUS_PLUS = "gradcam++"
    OCCLUSION = "occlusion"
    FEATURES = "features"


def grad_cam(features: Map, gradients: Map) -> Map:
    """Return the heat of each place, (height, width) float32, 0 or more.

    A channel counts by the mean of its gradients. Source: Selvaraju et al., "Grad-CAM: Visual
    Explanations from Deep Networks via Gradient-Based Localization", ICCV 2017
    (arXiv:1610.02391). After global average pooling and a linear layer the mean gradient is the
    layer's weight over the number of places, so that this is class activation mapping.
    """
    wide = features.astype(np.float64)
    weights = gradients.astype(np.float64).mean(axis=(0, 1))
    return _positive(wide @ weights)


def grad_cam_plus_plus(features: Map, gradients: Map) -> Map:
    """Return the heat of each place, (height, width) float32, 0 or more.

    A channel counts by its positive gradients, each weighted so that several objects of a class
    count alike, whatever their size. Source: Chattopadhay et al., "Grad-CAM++: Generalized
    Gradient-Based Visual Explanations for Deep Convolutional Networks", WACV 2018
    (arXiv:1710.11063), equation 19: the closed form for an exponential of the score.
    """
    wide, slopes = features.astype(np.float64), gradients.astype(np.float64)
    squared = slopes**2
    below = 2 * squared + wide.sum(axis=(0, 1)) * squared * slopes
    shares = np.divide(squared, below, out=np.zeros_like(squared), where=below != 0)
    weights = (shares * np.maximum(slopes, 0)).sum(axis=(0, 1))
    return _positive(wide @ weights)


def _positive(values: NDArray[np.float64]) -> Map:
    return np.maximum(values, 0).astype(np.float32)
