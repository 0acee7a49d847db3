"""Thin a network out: put its smallest weights to zero, and train the others to make up for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mejiro.errors import UsageError
from mejiro.model import FloatModel
from mejiro.prune.magnitude.masks import choose_masks
from mejiro.prune.magnitude.schedule import is_update, sparsity_at
from mejiro.prune.magnitude.settings import MagnitudeSettings, Spare
from mejiro.prune.sparsity import LayerSparsity, count_zeros, kernel_layers
from mejiro.tensorflow import load_keras
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings, Mark, copied, finetune
from mejiro.train.masks import Masks
from mejiro.train.pictures import Pictures

METHOD = "magnitude"


@dataclass(frozen=True, eq=False)
class Thinned:
    """Hold a thinned network and what each of its layers lost."""

    model: FloatModel
    layers: tuple[LayerSparsity, ...]

    @property
    def sparsity(self) -> float:
        """The share of zeros in the layers that were thinned."""
        return _share([layer for layer in self.layers if layer.thinned])

    @property
    def overall(self) -> float:
        """The share of zeros in all kernels."""
        return _share(self.layers)


def _share(layers: Sequence[LayerSparsity]) -> float:
    return sum(one.zeros for one in layers) / max(1, sum(one.weights for one in layers))


def thin(
    model: FloatModel,
    settings: MagnitudeSettings,
    *,
    pictures: Pictures | None = None,
    training: FinetuneSettings | None = None,
    events: Events | None = None,
) -> Thinned:
    """Return a copy of `model` in which the smallest weights are zero; `model` stays as it is.

    With `pictures` the sparsity grows while the copy is trained as `training` says, with `model`
    as its teacher; only epochs that end fully sparse are kept. Without pictures all is put to
    zero at once, which costs far more accuracy. Raises UsageError if there is nothing to thin.
    """
    copy = copied(model)
    layers = chosen_layers(copy.keras_model, settings.spare)
    if not layers:
        raise UsageError(
            f"{model.name} has no layer to thin out but those that are spared; spare fewer"
        )
    masks = Masks([layer.kernel for layer in layers])
    if pictures is None:
        _update(masks, settings, settings.sparsity)
    else:
        training = replace(training or FinetuneSettings(), keep_from=settings.end)

        def after_step(mark: Mark) -> None:
            if is_update(settings, mark.step, mark.steps):
                _update(masks, settings, sparsity_at(settings, mark.step, mark.steps))

        copy = finetune(
            copy,
            pictures,
            training,
            teacher=model,
            after_step=after_step,
            masks=masks,
            events=events,
        )
    rows = count_zeros(copy.keras_model, layers)
    found = Thinned(copy, rows)
    record = {"method": METHOD, **settings.to_json(), "zeros": round(found.overall, 6)}
    lineage = {**copy.lineage, "pruned": [*copy.lineage.get("pruned", []), record]}
    return replace(found, model=replace(copy, lineage=lineage))


def chosen_layers(keras_model: Any, spare: Sequence[Spare]) -> list[Any]:
    """Return the layers whose kernels are thinned out; see `Spare` for those that are not.

    The first convolution is the first layer with a kernel, the classifier the last one.
    """
    depthwise = load_keras().layers.DepthwiseConv2D
    layers = list(kernel_layers(keras_model))
    first = layers[0] if layers and Spare.FIRST in spare else None
    last = layers[-1] if layers and Spare.CLASSIFIER in spare else None
    return [
        layer
        for layer in layers
        if layer is not first
        and layer is not last
        and not (Spare.DEPTHWISE in spare and isinstance(layer, depthwise))
    ]


def _update(masks: Masks, settings: MagnitudeSettings, sparsity: float) -> None:
    kernels = [np.asarray(variable.numpy(), np.float32) for variable in masks.variables]
    kept = choose_masks(kernels, sparsity, settings.scope, settings.pattern)
    masks.set(dict(enumerate(kept)))
