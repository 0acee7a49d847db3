"""Lay a Keras network out flat: what every layer is given and gives, in nested models as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from mejiro.errors import ExportError
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras


class Step(NamedTuple):
    """Hold one use of a layer or plain operation: what went in, and what came out.

    `name` is the layer's; if that is taken, with the names of the models that it is nested in.
    """

    name: str
    layer: Any
    inputs: tuple[Any, ...]
    output: Any


@dataclass(frozen=True, eq=False)
class FlatNetwork:
    """Hold a network as steps in running order, by name; it shares the network's weights.

    The tensors are symbolic, or hold what the layers make of some pictures: see `on`.
    """

    keras_model: Any
    input: Any
    output: Any
    steps: dict[str, Step]

    def maker_of(self, tensor: Any) -> Step | None:
        """Return the step that made `tensor`, or None for the network's input."""
        return next((step for step in self.steps.values() if step.output is tensor), None)

    def on(self, values: Any) -> FlatNetwork:
        """Run the network layer by layer on float32 (batch, height, width, channels).

        The steps have the same names, and hold TensorFlow's tensors. Works under a gradient tape
        and while a function is traced.
        """
        steps: dict[str, Step] = {}
        tensor = load_keras().ops.convert_to_tensor(values)
        output = _unfold(steps, "", self.keras_model, tensor)
        return FlatNetwork(self.keras_model, tensor, output, steps)


def flatten(model: FloatModel) -> FlatNetwork:
    """Return the network of `model` with its nested models unfolded, at the model's input size.

    Raises ExportError for a network written as a class, whose layers Keras does not know.
    """
    return flatten_network(model.keras_model, model.input.shape[1:])


def flatten_network(keras_model: Any, shape: Sequence[int | None]) -> FlatNetwork:
    """Do for a Keras model what `flatten` does; `shape` is (height, width, channels)."""
    entry = load_keras().Input(tuple(shape), name="pixels")
    steps: dict[str, Step] = {}
    output = _unfold(steps, "", keras_model, entry)
    return FlatNetwork(keras_model, entry, output, steps)


def _unfold(steps: dict[str, Step], place: str, model: Any, *inputs: Any) -> Any:
    """Run `model` layer by layer, and note each step; return its output."""
    keras = load_keras()
    if isinstance(model, keras.Sequential):
        (value,) = inputs
        for layer in model.layers:
            value = _use(steps, place, layer, value)
        return value
    if not hasattr(model, "_run_through_graph"):
        raise ExportError(
            f"{model.name} is a network written as a class, so its layers cannot be told apart; "
            "build it with Keras's functional API"
        )
    # What every functional model runs itself with. Keras has no public way to the order of a
    # graph's layers that also gives the arguments of each call.
    outputs = model._run_through_graph(
        inputs, operation_fn=lambda layer: partial(_use, steps, place, layer)
    )
    tensors = keras.tree.flatten(outputs)
    return tensors[0] if len(tensors) == 1 else outputs


def _use(steps: dict[str, Step], place: str, layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Call one layer and note it; unfold it if it is a model itself."""
    keras = load_keras()
    inputs = tuple(
        value
        for value in keras.tree.flatten(args)
        if isinstance(value, keras.KerasTensor) or keras.ops.is_tensor(value)
    )
    if isinstance(layer, keras.Model):
        return _unfold(steps, f"{place}{layer.name}/", layer, *inputs)
    output = layer(*args, **kwargs)
    name = layer.name
    if name in steps:
        name = f"{place}{layer.name}"
    number = 1
    while name in steps:  # a layer that is used more than once
        number += 1
        name = f"{place}{layer.name}:{number}"
    steps[name] = Step(name, layer, inputs, output)
    return output
