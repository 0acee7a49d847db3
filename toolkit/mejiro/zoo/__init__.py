"""Offer image classifiers to begin with, and open those that users bring.

To add a model write its row in the file of its family, and list it here.
"""

from __future__ import annotations

import difflib
import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mejiro.errors import UsageError, WeightsError
from mejiro.model import FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import (
    efficientnet,
    efficientnet_lite,
    googlenet,
    inception,
    mobilenet,
    resnet,
    vgg,
)
from mejiro.zoo.files import (
    check_replaceable,
    load_float_model,
    made_with,
    open_file,
    save_float_model,
)
from mejiro.zoo.labels import check_labels, imagenet_labels
from mejiro.zoo.rewrite import name_layers, swap_activations
from mejiro.zoo.spec import (
    IMAGENET_CLASSES,
    Activation,
    Architecture,
    BuildOptions,
    ModelSpec,
    Weights,
    parse_weights,
)
from mejiro.zoo.weights import copy_weights, load_weights_file
from mejiro_runtime.card import Scores
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        vgg.VGG16,
        vgg.VGG19,
        googlenet.GOOGLENET,
        inception.V3,
        inception.RESNET_V2,
        resnet.RESNET50,
        resnet.RESNET101,
        resnet.RESNET152,
        resnet.RESNET50_V2,
        resnet.RESNET101_V2,
        resnet.RESNET152_V2,
        mobilenet.V1,
        mobilenet.V2,
        mobilenet.V3_SMALL,
        mobilenet.V3_SMALL_MINIMALISTIC,
        mobilenet.V3_LARGE,
        mobilenet.V3_LARGE_MINIMALISTIC,
        efficientnet.B0,
        efficientnet.B1,
        efficientnet.B2,
        efficientnet.B3,
        efficientnet.B4,
        efficientnet.B5,
        efficientnet.B6,
        efficientnet.B7,
        efficientnet.V2_B0,
        efficientnet.V2_B1,
        efficientnet.V2_B2,
        efficientnet.V2_B3,
        efficientnet_lite.LITE0,
        efficientnet_lite.LITE1,
        efficientnet_lite.LITE2,
        efficientnet_lite.LITE3,
        efficientnet_lite.LITE4,
    )
}

ALIASES: dict[str, str] = {
    "lite0": "efficientnet-lite0",
    "lite1": "efficientnet-lite1",
    "lite2": "efficientnet-lite2",
    "lite3": "efficientnet-lite3",
    "lite4": "efficientnet-lite4",
}

__all__ = [
    "ALIASES",
    "MODELS",
    "Activation",
    "BuildOptions",
    "ModelSpec",
    "Weights",
    "build",
    "check_replaceable",
    "find_model",
    "imagenet_labels",
    "load_float_model",
    "open_model",
    "parse_weights",
    "save_float_model",
]

_log = logging.getLogger(__name__)


def find_model(name: str) -> ModelSpec:
    """Return the row of MODELS that `name` or an alias names; raises UsageError."""
    spec = MODELS.get(ALIASES.get(name, name))
    if spec is None:
        near = difflib.get_close_matches(name, [*MODELS, *ALIASES], n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"choose one of {', '.join(MODELS)}"
        raise UsageError(f"there is no model or file '{name}'; {hint}")
    return spec


def build(
    name: str,
    *,
    weights: Weights | Path = Weights.PRETRAINED,
    labels: tuple[Label, ...] | None = None,
    options: BuildOptions | None = None,
) -> FloatModel:
    """Build a model of the zoo, with its weights in it.

    `weights` is PRETRAINED (ImageNet's), NONE (drawn from `options.seed`), or a weights file.
    Without `labels` the model has ImageNet's classes; with others it has one output for each of
    them, and with PRETRAINED all layers but the classifier keep their weights while that one is
    drawn from the seed. `lineage["weights"]["summary"]` says in words what was done.

    Raises UsageError for a name or option that does not exist, WeightsError for weights that
    are absent or do not fit, and MissingPackage if the package with them is not installed.
    """
    spec, options = find_model(name), options or BuildOptions()
    classes = imagenet_labels() if labels is None else labels
    check_labels(classes)
    architecture = spec.architecture(options, len(classes))
    if weights is Weights.PRETRAINED:
        new_head = classes != imagenet_labels()
        keras_model, record = _pretrained(spec, architecture, new_head, options.seed)
    elif weights is Weights.NONE:
        keras_model = _at_random(spec, architecture, options.seed)
        record = {"seed": options.seed, "summary": f"random, seed {options.seed}"}
    else:
        keras_model = _at_random(spec, architecture, options.seed)
        record = load_weights_file(Path(weights), keras_model, spec.pretrained)
    if options.activation is not None:
        with _seeded(options.seed):
            keras_model = swap_activations(keras_model, options.activation)
    kind = weights.value if isinstance(weights, Weights) else "file"
    record = {"kind": kind, **record}
    _log.info("%s has weights: %s", spec.name, record["summary"])
    return FloatModel(
        name=spec.name,
        keras_model=keras_model,
        input=spec.input_spec(architecture.image_size),
        labels=classes,
        scores=Scores.PROBABILITIES,
        lineage={
            "model": spec.name,
            "alpha": architecture.alpha,
            "depth": architecture.depth,
            "phi": options.phi,
            "dropout": architecture.dropout,
            "activation": options.activation and options.activation.value,
            "weights": record,
            "made_with": made_with(),
        },
    )


def open_model(
    reference: str,
    *,
    weights: Weights | Path | None = None,
    input_spec: InputSpec | Mapping[str, Any] | None = None,
    labels: tuple[Label, ...] | None = None,
    scores: Scores | None = None,
    options: BuildOptions | None = None,
) -> FloatModel:
    """Open what MODEL means on a command line: a name of the zoo, or something on disk.

    On disk it is a model folder (`model.keras` and `model.json`), a `.keras` or `.h5` file, or a
    SavedModel folder. `weights` and `options` belong to the zoo's names, where `weights` is
    PRETRAINED if None; `input_spec` and `scores` belong to files that do not state them, see
    `files.open_file`; `labels` to both. Raises UsageError for an argument that has no meaning
    for this reference, and for what is missing, else what `build` and `open_file` raise.
    """
    path = Path(reference)
    in_zoo = reference in MODELS or reference in ALIASES
    if in_zoo or not path.exists():
        spec = find_model(reference)
        if input_spec is not None or scores is not None:
            raise UsageError(
                f"{spec.name} knows its own input and output; leave the input specification and "
                "the kind of scores out"
            )
        return build(
            spec.name, weights=weights or Weights.PRETRAINED, labels=labels, options=options
        )
    if weights is not None or options is not None:
        raise UsageError(
            f"{reference} holds its own weights and architecture; leave out the options of the zoo"
        )
    return open_file(path, input_spec=input_spec, labels=labels, scores=scores)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Make Keras's random draws repeatable, and leave the caller's generator as it was.

    An initializer without a seed of its own takes one from Python's `random` when it is made.
    """
    state = random.getstate()
    load_keras()  # importing it draws numbers too, so not after the seed
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _at_random(spec: ModelSpec, architecture: Architecture, seed: int) -> Any:
    with _seeded(seed):
        return name_layers(spec.builder(architecture))


def _pretrained(
    spec: ModelSpec, architecture: Architecture, new_head: bool, seed: int
) -> tuple[Any, dict[str, Any]]:
    """Return a network with ImageNet's weights, and what the lineage records about them."""
    if spec.pretrained is None:
        raise WeightsError(
            f"no pretrained weights of {spec.name} are known; give a weights file with "
            "`--weights FILE`, or begin at random with `--weights none`"
        )
    if architecture.depth != 1.0:
        raise WeightsError(
            f"{spec.name} has pretrained weights for the depth 1.0, not {architecture.depth:g}; "
            "begin at random with `--weights none`"
        )
    if architecture.alpha not in spec.pretrained.alphas():
        known = ", ".join(str(alpha) for alpha in spec.pretrained.alphas())
        raise WeightsError(
            f"{spec.name} has pretrained weights for the widths {known}, not "
            f"{architecture.alpha}; begin at random with `--weights none`"
        )
    trained = Architecture(
        image_size=spec.image_size,
        classes=IMAGENET_CLASSES,
        alpha=architecture.alpha,
        dropout=architecture.dropout,
    )
    published = _at_random(spec, trained, seed)
    record = spec.pretrained.fill(published, trained)
    said = [record.pop("summary")]
    if architecture.image_size != spec.image_size:
        said.append(f"trained at {spec.image_size} pixels, used at {architecture.image_size}")
    if new_head:
        record["seed"] = seed
        said.append(f"with a new classifier at random, seed {seed}")
    else:
        record["published_top1"] = spec.published_top1
        record["published_in"] = spec.published_in
    record["summary"] = ", ".join(said)
    if architecture == trained and not new_head:
        return published, record
    network = _at_random(spec, architecture, seed)
    copy_weights(published, network, left_out=(spec.classifier,) if new_head else ())
    return network, record
