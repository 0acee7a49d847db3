"""Put a new head onto a network: what is trained, and the parts that training runs by themselves.

The network is one flat functional model with the zoo's own layer names, so that whatever reads
it later (export, Grad-CAM) finds an ordinary classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mejiro.errors import UsageError
from mejiro.tensorflow import load_keras
from mejiro.train.settings import Head, Pooling, Settings
from mejiro.zoo import ALIASES, MODELS, Weights, build, find_model, open_model, parse_weights
from mejiro_runtime.preprocess import InputSpec, ResizeMode

_POOL, _HIDDEN, _RELU, _DROPOUT = "new_pool", "new_hidden", "new_hidden_relu", "new_dropout"
_CLASSIFIER, _SCORES = "classifier", "probabilities"


@dataclass(frozen=True, eq=False)
class Network:
    """Hold a network and its parts, which share their layers and weights.

    `whole` maps (N, H, W, C) to probabilities and `logits` to what enters the softmax, `pooled`
    to features (N, F); `head` maps those to logits. `backbone` are the layers up to the feature
    map, from the pixels on; `pretrained` says whether their weights were ever trained.
    """

    name: str
    input: InputSpec
    lineage: dict[str, Any]
    whole: Any
    logits: Any
    pooled: Any
    head: Any
    backbone: tuple[Any, ...]
    pretrained: bool


def input_of(settings: Settings) -> InputSpec:
    """Return how pictures become the input of the network that `settings` describe."""
    if not _in_zoo(settings.model):
        return _cropped(open_model(settings.model).input, settings)
    row = find_model(settings.model)
    return _cropped(row.input_spec(row.architecture(settings.build, 1).image_size), settings)


def _cropped(spec: InputSpec, settings: Settings) -> InputSpec:
    """Return `spec` with the crop that `settings` ask for, if they do."""
    if settings.crop is None:
        return spec
    if spec.resize is not ResizeMode.CROP:
        raise UsageError(
            f"{settings.model} takes its pictures by {spec.resize.value}, which crops nothing; "
            "leave --crop out"
        )
    return replace(spec, crop_fraction=settings.crop)


def _in_zoo(model: str) -> bool:
    return model in MODELS or model in ALIASES or not Path(model).exists()


def open_network(settings: Settings, classes: int) -> Network:
    """Build the network that `settings` describe, for `classes` classes; the head is new.

    Raises what `zoo.build` and `zoo.open_model` raise, and UsageError for a model that has no
    feature map to put a head on.
    """
    keras = load_keras()
    name = settings.model
    if _in_zoo(name):
        weights = parse_weights(settings.weights or "pretrained")
        # With ImageNet's classifier: it is cut off, and everything before it is the same.
        pretrained = weights is not Weights.NONE
        base = build(name, weights=weights, options=settings.build)
        features = base.keras_model.get_layer(find_model(name).features)
    else:
        base = open_model(name)
        pretrained = True
        features = _last_map(base.keras_model, name)
    maps = features.output
    backbone = _layers_before(base.keras_model, features)
    head = _head_layers(keras, settings.head, classes, settings.seed)
    pooled = head[0](maps)
    logits = _apply(head[1:], pooled)
    scores = keras.layers.Softmax(name=_SCORES, dtype="float32")(logits)
    inputs = base.keras_model.inputs[0]
    row = keras.Input(pooled.shape[1:], name="features")
    return Network(
        name=base.name,
        input=_cropped(base.input, settings),
        lineage=base.lineage,
        whole=keras.Model(inputs, scores, name=base.name.replace("/", "-")),
        logits=keras.Model(inputs, logits),
        pooled=keras.Model(inputs, pooled),
        head=keras.Model(row, _apply(head[1:], row)),
        backbone=backbone,
        pretrained=pretrained,
    )


def _apply(layers: Sequence[Any], tensor: Any) -> Any:
    for layer in layers:
        tensor = layer(tensor)
    return tensor


def _head_layers(keras: Any, head: Head, classes: int, seed: int) -> list[Any]:
    """Return the head's layers, pooling first; the hidden layer is drawn from `seed`.

    The classifier begins at zero. With more features than pictures a random beginning stays where
    no picture says anything of it, as noise in every answer.
    """
    layers = keras.layers
    pooling = {
        Pooling.AVERAGE: layers.GlobalAveragePooling2D,
        Pooling.MAX: layers.GlobalMaxPooling2D,
    }[head.pooling]
    made = [pooling(name=_POOL)]

    if head.hidden:
        drawn = keras.initializers.GlorotUniform(seed=seed)
        hidden = layers.Dense(head.hidden, kernel_initializer=drawn, name=_HIDDEN)
        made += [hidden, layers.ReLU(name=_RELU)]
    if head.dropout:
        made.append(layers.Dropout(head.dropout, seed=seed, name=_DROPOUT))
    return [*made, layers.Dense(classes, kernel_initializer="zeros", name=_CLASSIFIER)]


def _last_map(keras_model: Any, name: str) -> Any:
    """Return the last layer that gives a feature map (N, H, W, C)."""
    for layer in reversed(keras_model.layers[1:]):
        if len(layer.output.shape) == 4:
            return layer
    raise UsageError(
        f"{name} has no layer that gives a feature map (batch, height, width, channels), so no "
        "head can be put on it; give a convolutional network"
    )


def _layers_before(keras_model: Any, last: Any) -> tuple[Any, ...]:
    """Return the layers that `last` depends on and `last` itself, in the model's order."""
    part = load_keras().Model(keras_model.inputs, last.output)
    return tuple(part.layers)
