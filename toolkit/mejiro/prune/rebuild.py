"""Copy a network layer by layer, where layers and what passes between them may change in width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mejiro.tensorflow import load_keras

Weights = list[NDArray[np.floating[Any]]]


def rebuild(
    keras_model: Any, config: Callable[[Any], dict[str, Any]], weights: Callable[[Any], Weights]
) -> Any:
    """Return a copy of a functional or sequential model, with models in it copied too.

    `config` and `weights` are given a layer of `keras_model` and return those of its copy.
    """
    keras = load_keras()
    copier = _Copier(config)
    copy = copier.model(keras_model, keras.tree.flatten(keras_model.inputs))
    for original, twin in copier.pairs:
        if original.weights:
            twin.set_weights(weights(original))
        if isinstance(twin, keras.layers.Normalization):
            twin.finalize_state()  # it computes with copies of its weights
    return copy


class _Copier:
    """Copy models; `pairs` are the layers that were copied and their copies."""

    def __init__(self, config: Callable[[Any], dict[str, Any]]) -> None:
        self.pairs: list[tuple[Any, Any]] = []
        self._config = config
        self._twins: dict[int, Any] = {}

    def model(self, original: Any, entering: list[Any]) -> Any:
        """Return the copy of a model, for inputs as wide as the tensors `entering`.

        Keras's own copy of a nested model has inputs as wide as they were.
        """
        keras = load_keras()
        if isinstance(original, keras.Sequential):
            return self._sequential(original, entering)
        old = keras.tree.flatten(original.inputs)
        new = [_input_like(one, two) for one, two in zip(old, entering, strict=True)]
        return keras.models.clone_model(
            original,
            input_tensors=keras.tree.pack_sequence_as(original.input, new),
            clone_function=self._twin,
        )

    def _sequential(self, original: Any, entering: list[Any]) -> Any:
        keras = load_keras()
        x = first = _input_like(original.inputs[0], entering[0])
        twins = []
        for layer in original.layers:
            twin = self._twin(layer)
            x = twin(x)
            twins.append(twin.made if isinstance(twin, _Nested) else twin)
        return keras.Sequential(
            [keras.Input(batch_shape=first.shape, dtype=first.dtype, name=first.name), *twins],
            name=original.name,
        )

    def _twin(self, operation: Any) -> Any:
        """Return what to call in place of `operation`, one and the same at each use."""
        keras = load_keras()
        # A plain operation has no state; nor has Lambda, whose code no configuration may hold.
        if not isinstance(operation, keras.Layer) or isinstance(operation, keras.layers.Lambda):
            return operation
        twin = self._twins.get(id(operation))
        if twin is None and isinstance(operation, keras.Model):
            twin = _Nested(self, operation)
        elif twin is None:
            twin = type(operation).from_config(self._config(operation))
            self.pairs.append((operation, twin))
        self._twins[id(operation)] = twin
        return twin


class _Nested:
    """Stand for the copy of a nested model until its first use says how wide its inputs are."""

    def __init__(self, copier: _Copier, original: Any) -> None:
        self.made: Any = None
        self._copier = copier
        self._original = original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.made is None:
            self.made = self._copier.model(self._original, load_keras().tree.flatten(args))
        return self.made(*args, **kwargs)


def _input_like(old: Any, entering: Any) -> Any:
    shape = (*old.shape[:-1], entering.shape[-1])
    return load_keras().Input(batch_shape=shape, dtype=old.dtype, name=old.name)
