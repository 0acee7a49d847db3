"""Take a classifier's logits from it, wherever its softmax is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mejiro.errors import UsageError
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Scores


@contextmanager
def answering_logits(model: FloatModel) -> Iterator[Any]:
    """Give the Keras model of `model`, which answers with logits while the block runs.

    Graphs that are traced in the block stay so; the model itself, and all of its variables, are
    as ever afterwards. Raises UsageError for probabilities without a softmax at the end.
    """
    if model.scores is Scores.LOGITS:
        yield model.keras_model
        return
    last = _find_softmax(model)
    if hasattr(last, "activation"):
        activation = last.activation
        last.activation = load_keras().activations.linear
        try:
            yield model.keras_model
        finally:
            last.activation = activation
        return
    last.call = _pass
    try:
        yield model.keras_model
    finally:
        del last.call


def _pass(inputs: Any, *_: Any, **__: Any) -> Any:
    return inputs


def _find_softmax(model: FloatModel) -> Any:
    """Return the layer that ends in a softmax, looking through changes of shape."""
    keras = load_keras()
    layers = keras.layers
    tensor = model.keras_model.outputs[0]
    while (history := getattr(tensor, "_keras_history", None)) is not None:
        layer = history.operation
        if isinstance(layer, keras.Model):
            tensor = layer.outputs[0]
        elif isinstance(layer, layers.Reshape | layers.Flatten | layers.Dropout):
            tensor = layer.input
        elif _is_softmax(layer):
            return layer
        else:
            break
    raise UsageError(
        f"{model.name} gives probabilities and shows no softmax that makes them; training works "
        "on what enters it, so give a model that ends in a softmax, or in logits"
    )


def _is_softmax(layer: Any) -> bool:
    keras = load_keras()
    # By its name, a softmax that was called as a function, keras.ops.softmax.
    if isinstance(layer, keras.layers.Softmax) or type(layer).__name__ == "Softmax":
        return True
    return getattr(layer, "activation", None) is keras.activations.softmax
