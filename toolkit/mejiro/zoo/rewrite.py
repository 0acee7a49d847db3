"""Copy a network with other nonlinearities, or with names that are its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from mejiro.tensorflow import load_keras
from mejiro.zoo.spec import Activation

INPUT_NAME = "pixels"
# As Keras names them in a configuration; it writes swish as silu.
_SWAPPED = frozenset({"relu", "relu6", "silu", "swish", "hard_silu", "hard_swish"})


def name_layers(keras_model: Any) -> Any:
    """Return `keras_model` with each layer that Keras has named numbered within the network.

    Keras numbers such layers by how many the process has made before, and so gives one network
    other names at each making. Weights are kept.
    """
    seen: Counter[str] = Counter()
    names: dict[int, str] = {}
    inputs = load_keras().layers.InputLayer
    for layer in keras_model.layers:
        if isinstance(layer, inputs):
            names[id(layer)] = INPUT_NAME
            continue
        stem = _stem(type(layer).__name__)
        if re.fullmatch(rf"{stem}(_\d+)?", layer.name):
            number = seen[stem]
            names[id(layer)] = f"{stem}_{number}" if number else stem
            seen[stem] += 1

    wanted = [names.get(id(layer), layer.name) for layer in keras_model.layers]
    if wanted == [layer.name for layer in keras_model.layers]:
        return keras_model

    def renamed(layer: Any) -> Any:
        config = layer.get_config()
        config["name"] = names.get(id(layer), layer.name)
        return layer.__class__.from_config(config)

    return _copy(keras_model, renamed)


def swap_activations(keras_model: Any, activation: Activation) -> Any:
    """Return `keras_model` with `activation` for each ReLU, ReLU6, swish and hard swish.

    What makes a gate (sigmoid, hard sigmoid) or the scores stays. Layers keep their names and
    weights.
    """
    keras = load_keras()

    def swapped(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, keras.layers.ReLU):
            if _in_gate(keras, layer):
                return layer.__class__.from_config(config)
            return keras.layers.Activation(activation.value, name=layer.name)
        if config.get("activation") in _SWAPPED:
            config["activation"] = activation.value
        return layer.__class__.from_config(config)

    return _copy(keras_model, swapped)


def _in_gate(keras: Any, layer: Any) -> bool:
    """Say whether a ReLU6 is part of a hard sigmoid, relu6(x + 3) / 6, spelt as operations."""
    history = layer.input._keras_history
    return not isinstance(history.operation, keras.Layer)


def _copy(keras_model: Any, change: Callable[[Any], Any]) -> Any:
    """Return a copy with `change` applied to each layer, and the same weights."""
    keras = load_keras()

    def cloned(operation: Any) -> Any:
        return change(operation) if isinstance(operation, keras.Layer) else operation

    inputs = keras.Input(keras_model.input_shape[1:], name=INPUT_NAME)
    copy = keras.models.clone_model(keras_model, input_tensors=inputs, clone_function=cloned)
    copy.set_weights(keras_model.get_weights())
    for layer in copy.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights
    return copy


def _stem(kind: str) -> str:
    """Return the name that Keras gives to the first layer of a class."""
    text = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", text).lower()
