"""Find the linear head of a classifier: the mean of its last feature map, times one matrix.

Such a head is what class activation mapping needs (Zhou et al., "Learning Deep Features for
Discriminative Localization", CVPR 2016, arXiv:1512.04150): the score of a class is the mean over
all places of the same weighted sum of features, so that sum tells what each place contributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError
from mejiro.export.flat import FlatNetwork, Step, flatten
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras

# Layers that do nothing once a network is trained.
_IDLE = (
    "Dropout",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
)


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Hold where the last feature map is, and the matrix that reads its mean.

    The layer `layer` of `network` makes the features, `shape` is their (height, width, channels).
    `weights` is float32 (classes, channels).
    """

    network: FlatNetwork
    layer: str
    shape: tuple[int, int, int]
    weights: NDArray[np.float32]

    def run(self, values: Any) -> tuple[Any, Any]:
        """Return what the network makes of `values`, and the features on the way there."""
        made = self.network.on(values)
        return made.output, made.steps[self.layer].output


def find_linear_head(model: FloatModel) -> LinearHead:
    """Return the linear head of `model`.

    Raises ExportError, with the layer that is in the way, if the model does not end in global
    average pooling and one linear layer.
    """
    network = flatten(model)
    classifier: Step | None = None
    tensor = network.output
    while (step := network.maker_of(tensor)) is not None:
        tensor = step.inputs[0]
        if classifier is not None and _is_global_average(step):
            made_by = network.maker_of(tensor)
            if made_by is None:
                break
            height, width, channels = tensor.shape[1:]
            weights = _weights(classifier.layer)
            return LinearHead(network, made_by.name, (height, width, channels), weights)
        if classifier is None and _is_linear(step.layer):
            classifier = step
        elif not (_is_idle(step) or (classifier is None and _is_last_activation(step.layer))):
            raise ExportError(_refusal(model, step))
    raise ExportError(_refusal(model, None))


def _refusal(model: FloatModel, step: Step | None) -> str:
    where = "neither was found"
    if step is not None:
        where = f"but there is {type(step.layer).__name__} ('{step.name}')"
    return (
        f"{model.name} has no head that features can be weighed by: global average pooling and one "
        f"linear layer may stand between its last feature map and its scores, {where}; "
        "leave --with-features out"
    )


def _is_global_average(step: Step) -> bool:
    """Say whether `step` is the mean over all places."""
    layers = load_keras().layers
    if isinstance(step.layer, layers.GlobalAveragePooling2D):
        return True
    if not isinstance(step.layer, layers.AveragePooling2D):
        return False
    return tuple(step.inputs[0].shape[1:3]) == tuple(step.layer.pool_size)


def _is_linear(layer: Any) -> bool:
    """Say whether `layer` multiplies each mean by a weight and adds: the classifier."""
    layers, known = load_keras().layers, load_keras().activations
    if getattr(layer, "activation", None) not in (known.linear, known.softmax, known.sigmoid):
        return False
    if isinstance(layer, layers.Dense):
        return True
    return type(layer) is layers.Conv2D and (*layer.kernel_size, layer.groups) == (1, 1, 1)


def _is_last_activation(layer: Any) -> bool:
    """Say whether `layer` makes probabilities of the classifier's scores."""
    layers, known = load_keras().layers, load_keras().activations
    if isinstance(layer, layers.Softmax):
        return True
    return isinstance(layer, layers.Activation) and layer.activation in (
        known.linear,
        known.softmax,
        known.sigmoid,
    )


def _is_idle(step: Step) -> bool:
    """Say whether `step` leaves its values alone, but for the shape of what has one place only."""
    layers = load_keras().layers
    if isinstance(step.layer, layers.Flatten | layers.Reshape):
        shape = step.inputs[0].shape[1:]
        return all(size == 1 for size in shape[:-1])
    return type(step.layer).__name__ in _IDLE


def _weights(layer: Any) -> NDArray[np.float32]:
    """Return the classifier's weights, (classes, channels)."""
    kernel = np.asarray(layer.get_weights()[0], dtype=np.float32)
    return np.ascontiguousarray(kernel.reshape(kernel.shape[-2:]).T)
