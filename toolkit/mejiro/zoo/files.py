"""Read and write float models: Mejiro's own folders, and the files that users bring."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mejiro import __version__
from mejiro.errors import UsageError
from mejiro.model import FloatModel, TrainedQuantization
from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro.zoo.keras_file import load_keras_file, read_scores
from mejiro.zoo.labels import check_labels
from mejiro.zoo.saved_model import load_saved_model
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.fields import Fields, read_json
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.preprocess import InputSpec, Layout, TensorType
from mejiro_runtime.types import Label, PixelOrder

MODEL_SCHEMA = 1
_KERAS_NAME, _CARD_NAME, _RANGES_NAME = "model.keras", "model.json", "ranges.json"
# Where a training run keeps its model folder.
_RUN_MODEL = "model"


def made_with() -> dict[str, str]:
    """Return the versions that a lineage records."""
    return {
        "mejiro": __version__,
        "keras": load_keras().__version__,
        "tensorflow": load_tensorflow().__version__,
    }


def save_float_model(
    model: FloatModel, folder: Path, *, beside: Mapping[str, Any] | None = None
) -> None:
    """Write `model` to `folder` as `model.keras` and `model.json`, whole or not at all.

    What training for int8 found goes into `ranges.json`. `beside` maps the names of further files
    in it to the JSON values that they hold. An earlier model folder there is replaced; anything
    else there is a UsageError. Raises ModelError for a network that a file cannot hold, such as a
    wrapped SavedModel.
    """
    keras = load_keras()
    if any(isinstance(layer, keras.layers.TFSMLayer) for layer in model.keras_model.layers):
        raise ModelError(
            f"{model.name} is a SavedModel, which keeps its own format; copy its folder instead"
        )
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as name:
        new = Path(name) / "new"
        new.mkdir()
        model.keras_model.save(new / _KERAS_NAME)
        write_json(new / _CARD_NAME, _card(model, new / _KERAS_NAME))
        if model.trained is not None:
            write_json(new / _RANGES_NAME, model.trained.to_json())
        for further, value in (beside or {}).items():
            write_json(new / further, value)
        _exchange(new, folder, Path(name) / "old")


def check_replaceable(folder: Path) -> None:
    """Raise UsageError if there is anything at `folder` but an earlier model folder."""
    replaceable = folder.is_dir() and ((folder / _CARD_NAME).is_file() or not any(folder.iterdir()))
    if folder.exists() and not replaceable:
        raise UsageError(f"{folder} is there and is no model folder; give another name")


def _exchange(new: Path, folder: Path, old: Path) -> None:
    """Put `new` in the place of `folder`, and what was there to `old`; or leave it as it was."""
    if not folder.exists():
        new.rename(folder)
        return
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise


def _card(model: FloatModel, file: Path) -> dict[str, Any]:
    return {
        "schema": MODEL_SCHEMA,
        "name": model.name,
        "sha256": sha256_of(file),
        "input": model.input.to_json(),
        "scores": model.scores.value,
        "labels": [{"name": label.name, "synset": label.synset} for label in model.labels],
        "lineage": model.lineage,
    }


def load_float_model(folder: Path) -> FloatModel:
    """Read a folder that `save_float_model` wrote.

    Raises ModelError if it is incomplete, altered, or holds code, and SpecError if `model.json`
    is not well formed.
    """
    file, card = folder / _KERAS_NAME, folder / _CARD_NAME
    for path in (file, card):
        if not path.is_file():
            raise ModelError(f"{folder} has no {path.name}; a model folder holds both files")
    fields = Fields(read_json(card), str(card))
    schema = fields.integer("schema")
    if schema > MODEL_SCHEMA:
        raise ModelError(f"{card} has schema {schema}, not up to {MODEL_SCHEMA}; upgrade mejiro")
    name, sha256 = fields.text("name"), fields.text("sha256")
    labels = tuple(_label(index, entry) for index, entry in enumerate(fields.items("labels")))
    spec = InputSpec.from_json(fields.mapping("input"))
    scores = fields.choice("scores", Scores)
    lineage = fields.mapping("lineage")
    fields.finish()
    if sha256_of(file) != sha256:
        raise ModelError(f"{file} has changed since {card.name} was written; save the model again")
    keras_model = load_keras_file(file)
    model = _float_model(file, keras_model, name, spec, labels, scores, lineage)
    ranges = folder / _RANGES_NAME
    if not ranges.is_file():
        return model
    return replace(model, trained=TrainedQuantization.from_json(read_json(ranges), str(ranges)))


def _label(index: int, entry: Any) -> Label:
    fields = Fields(entry, f"label {index}")
    label = Label(index=index, name=fields.text("name"), synset=fields.text("synset", ""))
    fields.finish()
    return label


def open_file(
    path: Path,
    *,
    input_spec: InputSpec | Mapping[str, Any] | None,
    labels: tuple[Label, ...] | None,
    scores: Scores | None,
) -> FloatModel:
    """Open a model folder, a training run's folder, a `.keras` or `.h5` file, or a SavedModel.

    Only a model folder, which a run's folder holds too, states all that a FloatModel needs. For
    the others `labels` must be given, and `input_spec`: an InputSpec, or its JSON object, in
    which the height and width may be left out where the file fixes them, while scale and offset
    may not. `scores` must be given where the last layer does not tell. Raises UsageError for
    what is missing or contradicts the file, and ModelError for a file that cannot be used.
    """
    if (path / _RUN_MODEL / _CARD_NAME).is_file():
        path = path / _RUN_MODEL
    if path.is_dir() and (path / _CARD_NAME).is_file():
        if input_spec is not None or labels is not None or scores is not None:
            raise UsageError(
                f"{path} states its own input, labels and scores; leave them out or edit "
                f"{_CARD_NAME}"
            )
        return load_float_model(path)
    if path.is_dir():
        keras_model, digest = load_saved_model(path, _given_size(input_spec)), _sha256_within(path)
    elif path.suffix in (".keras", ".h5", ".hdf5"):
        keras_model, digest = load_keras_file(path), sha256_of(path)
    else:
        raise UsageError(
            f"{path} is no model that can be opened; give a .keras or .h5 file, a SavedModel "
            "folder, or a model folder"
        )
    spec = _input_spec(path, keras_model, input_spec)
    if labels is None:
        raise UsageError(
            f"{path} does not name its {keras_model.output_shape[-1]} classes; give the labels "
            "with --labels"
        )
    record = {
        "kind": "file",
        "file": path.name,
        "sha256": digest,
        "summary": f"from {path.name} (SHA-256 {digest[:12]}…)",
    }
    lineage = {"model": path.name, "weights": record, "made_with": made_with()}
    kind = _scores(path, keras_model, scores)
    return _float_model(path, keras_model, path.stem, spec, labels, kind, lineage)


def _float_model(
    path: Path,
    keras_model: Any,
    name: str,
    spec: InputSpec,
    labels: tuple[Label, ...],
    scores: Scores,
    lineage: dict[str, Any],
) -> FloatModel:
    """Put the parts together once each of them agrees with the network."""
    _check_network(path, keras_model)
    _check_input(path, keras_model, spec)
    try:
        check_labels(labels, keras_model.output_shape[-1])
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    return FloatModel(name, keras_model, spec, labels, scores, lineage)


def _check_network(path: Path, keras_model: Any) -> None:
    """Raise ModelError unless the network is one picture in, one row of scores out, float32."""
    if len(keras_model.inputs) != 1 or len(keras_model.outputs) != 1:
        raise ModelError(
            f"{path} has {len(keras_model.inputs)} inputs and {len(keras_model.outputs)} outputs; "
            "a classifier has one of each"
        )
    entry, answer = keras_model.inputs[0], keras_model.outputs[0]
    if len(entry.shape) != 4 or entry.shape[3] not in (1, 3):
        raise ModelError(
            f"{path} takes the shape {_shape(entry)}; (batch, height, width, 1 or 3) is needed"
        )
    if len(answer.shape) != 2 or answer.shape[1] is None:
        raise ModelError(f"{path} answers with {_shape(answer)}; (batch, classes) is needed")
    if entry.shape[0] is not None:
        raise ModelError(
            f"{path} takes batches of {entry.shape[0]} only; save it with an open batch (None)"
        )
    for tensor in (entry, answer):
        if tensor.dtype != "float32":
            raise ModelError(f"{path} works with {tensor.dtype} at its ends; float32 is needed")


def _shape(tensor: Any) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in tensor.shape) + ")"


def _given_size(given: InputSpec | Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """Return the height and width that a specification states, for files that leave them open."""
    if isinstance(given, InputSpec):
        return given.height, given.width
    if given is None:
        return None, None
    return given.get("height"), given.get("width")


def _input_spec(
    path: Path, keras_model: Any, given: InputSpec | Mapping[str, Any] | None
) -> InputSpec:
    """Complete what the user gave with what the file fixes; ask for the rest."""
    _check_network(path, keras_model)
    _, height, width, channels = keras_model.inputs[0].shape
    if given is None:
        raise UsageError(
            f"{path} takes {_shape(keras_model.inputs[0])} and does not say how pixels become "
            "that; give an input specification with its scale and offset (--input-spec, or "
            "--normalize)"
        )
    if isinstance(given, InputSpec):
        return given
    known: dict[str, Any] = {"dtype": TensorType.FLOAT32.value}
    if height is not None and width is not None:
        known |= {"height": height, "width": width}
    if channels == 1:
        known["order"] = PixelOrder.GRAY.value
    whole = {**known, **given}
    missing = [name for name in ("height", "width", "scale", "offset") if name not in whole]
    if missing:
        raise UsageError(
            f"{path} does not say its {', '.join(missing)}; add them to the input specification "
            "(--input-spec, --normalize)"
        )
    return InputSpec.from_json(whole)


def _check_input(path: Path, keras_model: Any, spec: InputSpec) -> None:
    """Raise UsageError unless `spec` makes what the network takes."""
    if spec.dtype is not TensorType.FLOAT32 or spec.layout is not Layout.NHWC:
        raise UsageError(
            f"{path} takes float32 in the order nhwc, the input specification says "
            f"{spec.dtype.value} and {spec.layout.value}; correct it"
        )
    wanted, made = keras_model.inputs[0].shape[1:], spec.shape[1:]
    if not all(want in (None, have) for want, have in zip(wanted, made, strict=True)):
        raise UsageError(
            f"{path} takes {_shape(keras_model.inputs[0])}, the input specification makes "
            f"{made}; correct it"
        )


def _scores(path: Path, keras_model: Any, given: Scores | None) -> Scores:
    """Return what the output holds: as the last layer tells, else as the user says."""
    found = read_scores(keras_model)
    if given is None and found is None:
        raise UsageError(
            f"{path} does not show whether it answers with probabilities or logits; say which "
            "with --scores"
        )
    if found is Scores.PROBABILITIES and given is Scores.LOGITS:
        raise UsageError(f"{path} ends in a softmax, so its scores are probabilities, not logits")
    return Scores(given or found)


def _sha256_within(folder: Path) -> str:
    """Return one hash over the names and contents of all files in `folder`."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()
