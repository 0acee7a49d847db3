"""Look inside a Keras network: what its layers give, and how its scores depend on them."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mejiro.errors import ExportError, UsageError
from mejiro.explain.stages import choose_stages
from mejiro.explain.subject import Seen, Slopes
from mejiro.export.flat import FlatNetwork, Step, flatten
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import ModelError

_NAMED = 6


class NetworkSubject:
    """Answer for a float model; see `Subject`."""

    background: int | None = None

    def __init__(self, model: FloatModel) -> None:
        self.model = model
        self.name = model.name
        self.spec = model.input
        self.labels = model.labels

    def scores(self, tensors: NDArray[Any]) -> NDArray[np.float32]:
        """See `Subject.scores`."""
        raw = np.asarray(self.model.keras_model.predict_on_batch(tensors), dtype=np.float32)
        if self.model.scores is Scores.LOGITS:
            raw = np.exp(raw - raw.max(axis=1, keepdims=True))
            raw = raw / raw.sum(axis=1, keepdims=True)
        return raw

    def slopes(self, tensor: NDArray[Any], index: int, layer: str | None) -> Slopes:
        """See `Subject.slopes`."""
        tf = load_tensorflow()
        name = self._step(layer).name
        pixels = tf.constant(tensor)
        with tf.GradientTape() as tape:
            tape.watch(pixels)  # frozen layers are recorded too, then
            made = self._network.on(pixels)
            features = made.steps[name].output
            score = self._ending.raw_scores(made)[0, index]
        gradients = tape.gradient(score, features)
        if gradients is None:
            raise UsageError(f"the scores of {self.name} do not depend on layer '{name}'")
        return Slopes(name, _float32(features), _float32(gradients))

    def stages(self, tensor: NDArray[Any], layer: str | None) -> list[Seen]:
        """See `Subject.stages`."""
        chosen = choose_stages(self._maps) if layer is None else [self._step(layer)]
        made = self._network.on(tensor).steps
        return [Seen(step.name, _float32(made[step.name].output)) for step in chosen]

    def __enter__(self) -> NetworkSubject:
        return self

    def __exit__(self, *reason: object) -> None:
        return None

    @cached_property
    def _network(self) -> FlatNetwork:
        try:
            return flatten(self.model)
        except ExportError as error:
            raise ModelError(f"{error}; or use --method occlusion") from None

    @cached_property
    def _maps(self) -> list[Step]:
        """The steps that give a feature map of more than one place, in running order."""
        maps = [step for step in self._network.steps.values() if self._has_places(step)]
        if not maps:
            raise ModelError(
                f"{self.name} shows no feature map inside it (a SavedModel does not); "
                "use --method occlusion"
            )
        return maps

    def _has_places(self, step: Step) -> bool:
        shape = getattr(step.output, "shape", ())
        return len(shape) == 4 and max(shape[1:3]) > 1

    def _step(self, layer: str | None) -> Step:
        """Return the layer that was named, or the last that gives a feature map."""
        if layer is None:
            return self._maps[-1]
        step = self._network.steps.get(layer)
        if step is not None and not self._has_places(step):
            raise UsageError(
                f"layer '{layer}' of {self.name} gives {list(step.output.shape)}, which has no "
                f"places; the last that has is '{self._maps[-1].name}'"
            )
        if step is not None:
            return step
        names = [step.name for step in self._maps]
        shown = ", ".join(names[-_NAMED:])
        raise UsageError(
            f"{self.name} has no layer '{layer}'; the last of {len(names)} with a feature map are "
            f"{shown}"
        )

    @cached_property
    def _ending(self) -> _Ending:
        return _find_ending(self._network)


class _Ending(NamedTuple):
    """Say where a network's scores are before their softmax or sigmoid, if it has one.

    They are what the step `name` is given, put through `layer` where that is not None; without a
    name they are the network's output.
    """

    name: str | None = None
    layer: Any = None

    def raw_scores(self, made: FlatNetwork) -> Any:
        """Return the scores (batch, classes) of a network that has run."""
        if self.name is None:
            return made.output
        value = made.steps[self.name].inputs[0]
        if self.layer is not None:
            value = self.layer(value)
        # A classifier by convolution keeps the axes of a picture, each of size 1.
        return load_keras().ops.reshape(value, (len(value), -1))


def _find_ending(network: FlatNetwork) -> _Ending:
    keras = load_keras()
    known = (keras.activations.softmax, keras.activations.sigmoid)
    tensor = network.output
    while (step := network.maker_of(tensor)) is not None:
        layer = step.layer
        tensor = step.inputs[0]
        if isinstance(layer, keras.layers.Reshape | keras.layers.Flatten):
            continue
        if isinstance(layer, keras.layers.Softmax):
            return _Ending(step.name)
        if getattr(layer, "activation", None) not in known:
            break
        if isinstance(layer, keras.layers.Activation):
            return _Ending(step.name)
        return _Ending(step.name, _without_activation(step))
    # A model of logits; or one that hides how its probabilities are made.
    return _Ending()


def _without_activation(step: Step) -> Any:
    """Return a copy of the layer of `step`, weights included, that leaves its activation out."""
    layer = step.layer
    config = {**layer.get_config(), "activation": "linear", "name": f"{layer.name}_raw"}
    copy = type(layer).from_config(config)
    copy.build(step.inputs[0].shape)
    copy.set_weights(layer.get_weights())
    return copy


def _float32(tensor: Any) -> NDArray[np.float32]:
    """Return the values for the one picture of a batch."""
    values: NDArray[np.float32] = np.asarray(tensor, dtype=np.float32)[0]
    return values
