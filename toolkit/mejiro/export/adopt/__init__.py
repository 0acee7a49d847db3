"""Take in a model file of other origin: find out what goes in and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from mejiro.data.labels import parse_labels
from mejiro.data.normalize import Normalize
from mejiro.errors import ExportError, UsageError
from mejiro.export.adopt.answers import fit_labels, scores_for
from mejiro.export.adopt.boxes import Activation, BoxHints, read_boxes, require_detector
from mejiro.export.adopt.facts import (
    ONLY_CLASSIFIERS,
    ModelFacts,
    TensorFacts,
    classes_of,
    require_classifier,
)
from mejiro.export.adopt.hints import Background, Hints
from mejiro.export.adopt.maps import read_map
from mejiro.export.adopt.onnx_file import read_onnx
from mejiro.export.adopt.pixels import input_spec_for
from mejiro.export.adopt.state import Links, find_state, without_state
from mejiro.export.adopt.tflite import read_tflite
from mejiro.export.adopt.trial import Trial, try_model
from mejiro.model import Artifact
from mejiro_runtime._version import __version__
from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Task, card_path
from mejiro_runtime.errors import ModelError
from mejiro_runtime.files import replacing, write_json
from mejiro_runtime.heads import Head
from mejiro_runtime.postprocess import ReadOptions, make_reader
from mejiro_runtime.preprocess import InputSpec, ResizeMode, TensorInfo
from mejiro_runtime.types import Label

__all__ = [
    "READERS",
    "Activation",
    "Background",
    "BoxHints",
    "Hints",
    "Normalize",
    "Other",
    "adopt",
]

READERS: dict[Format, Callable[[bytes, str, InputSpec | None], ModelFacts]] = {
    Format.TFLITE: read_tflite,
    Format.ONNX: read_onnx,
}
# Neither flatbuffers nor protobuf can be larger.
MAX_MODEL_BYTES = 2**31 - 1
# YOLO's customary grey beside the picture.
YOLO_PADDING = 114
SCORE_TYPES = frozenset({"float16", "float32", "float64", "int8", "uint8"})


@dataclass(frozen=True)
class Other:
    """Say what a file is for if it is no plain classifier, and what a user knows of that.

    `state` holds (input, output) for inputs that are given an output back.
    """

    task: Task = Task.CLASSIFICATION
    boxes: BoxHints = field(default_factory=BoxHints)
    state: Links = ()


def adopt(
    path: Path,
    *,
    out: Path,
    labels: tuple[Label, ...] | None = None,
    input_spec: InputSpec | None = None,
    hints: Hints | None = None,
    other: Other | None = None,
) -> Artifact:
    """Write a copy of the model `path` and its card into the folder `out`.

    It is taken for a classifier unless `other` says for what. What the file says of its inputs
    and outputs is read from it; `labels` None takes the labels that are packed in it;
    `input_spec` and `hints` say what it leaves open. The copy is run on a
    few frames, in a process of its own, before it appears in `out`. An open batch is fixed to 1
    in the copy. The card's lineage holds the sha256 of the original, what was changed, and how
    each part was found (`findings`).

    Raises UsageError, naming the option to give, for what nobody said; ModelError if the file is
    damaged, is not for that task or cannot be run; DataError if the labels do not fit its
    classes; ExportError if `out` cannot be written.
    """
    hints, other = hints or Hints(), other or Other()
    format, data = _read(path)
    facts = READERS[format](data, path.name, input_spec)
    state, state_found = _require(facts, other)
    facts = without_state(facts, state)
    spec, findings = input_spec_for(facts, input_spec, hints)
    if other.task is Task.CLASSIFICATION:
        _require_scores(facts)
    labels, origin = _labels(facts, labels)
    target = out / path.name
    _refuse_overwriting(path, target, changed=bool(facts.changes))
    with _writing_to(out), replacing(card_path(target)) as card_file, replacing(target) as copy:
        copy.write_bytes(facts.data)
        kept = [made for _, made in state]
        trial = try_model(copy, format, spec, name=path.name, picture=facts.picture, state=kept)
        output, labels, more = _output(facts, trial, labels, hints, other)
        if input_spec is None and other.task is not Task.CLASSIFICATION:
            spec, fitted = _fit_frame(spec, output, hints)
            more = [fitted, *more]
        found = [*findings, origin, *more, *state_found, *facts.notes]
        lineage = _lineage(facts, data, trial, found)
        card = replace(_card(facts, spec, output, labels, lineage), state=state)
        if other.task is not Task.CLASSIFICATION:
            make_reader(card, _infos(facts, trial), ReadOptions())  # raises if they do not fit
        write_json(card_file, card.to_json())
    return Artifact(path=target, card=card)


def _require(facts: ModelFacts, other: Other) -> tuple[Links, list[str]]:
    """Return the file's state, and how it was found; raises ModelError for another task's file."""
    if other.task is Task.CLASSIFICATION and not other.state:
        require_classifier(facts)
        return (), []
    if other.task is Task.DETECTION:
        require_detector(facts)
    if not facts.outputs or not facts.inputs:
        raise ModelError(f"{facts.name} has no input or no output; it cannot be adopted")
    return find_state(facts, other.state)


def _infos(facts: ModelFacts, trial: Trial) -> tuple[TensorInfo, ...]:
    """Return the outputs as an engine would describe them."""
    return tuple(
        TensorInfo(one.name, one.shape, one.dtype, said.quantization)
        for one, said in zip(trial.outputs, facts.outputs, strict=True)
    )


def _fit_frame(spec: InputSpec, output: OutputSpec, hints: Hints) -> tuple[InputSpec, str]:
    """Return the specification with the way that a task's frames fit, and what to say of it.

    A crop would hide what is at the frame's edges from a detector.
    """
    head = None if output.detection is None else output.detection.head
    yolo = head in (Head.YOLO, Head.YOLO_OBJECTNESS)
    mode = hints.resize or (ResizeMode.LETTERBOX if yolo else ResizeMode.STRETCH)
    padding = YOLO_PADDING if yolo and mode is ResizeMode.LETTERBOX else spec.pad_value
    how = "as given" if hints.resize else "ASSUMED; --resize changes it"
    return replace(spec, resize=mode, pad_value=padding), f"frame: by {mode.value}, {how}"


def _read(path: Path) -> tuple[Format, bytes]:
    """Return the format that a file's name tells, and its bytes."""
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in {format.value for format in READERS}:
        raise UsageError(f"{path} is neither .tflite nor .onnx; only these can be adopted")
    if not path.is_file():
        raise ModelError(f"{path} is not a file; give a .tflite or .onnx")
    try:
        size = path.stat().st_size
        if size > MAX_MODEL_BYTES:
            raise ModelError(f"{path} has {size} bytes; no model file has more than 2 GiB")
        return Format(suffix), path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from None


def _require_scores(facts: ModelFacts) -> None:
    """Raise ModelError unless the output's type and shape can be read as scores."""
    output = facts.outputs[0]
    if output.dtype not in SCORE_TYPES:
        raise ModelError(
            f"{facts.name} gives {output}, which are no scores; {ONLY_CLASSIFIERS}: "
            "export it without its last step"
        )
    if not output.dtype.startswith("float") and output.quantization is None:
        raise ModelError(
            f"{facts.name} gives {output} and does not state their scale; "
            "export it with a float32 output"
        )
    if min(output.shape, default=1) < 1:
        raise ModelError(
            f"{facts.name} does not tell how many scores it gives, {output}; "
            "export it with fixed shapes"
        )


def _labels(facts: ModelFacts, given: tuple[Label, ...] | None) -> tuple[tuple[Label, ...], str]:
    """Return the labels, and where they are from."""
    if given:
        return given, "labels: as given"
    if facts.described.labels is None:
        raise UsageError(f"{facts.name} holds no labels; give --labels FILE, one name a line")
    packed = parse_labels(facts.described.labels, f"the labels in {facts.name}")
    return packed, "labels: from the file's metadata"


def _refuse_overwriting(path: Path, target: Path, *, changed: bool) -> None:
    """Raise UsageError if the changed copy would take the place of the original."""
    if changed and target.exists() and target.samefile(path):
        raise UsageError(
            f"{path} has to be changed to be adopted and lies in --out; give another folder"
        )


def _output(
    facts: ModelFacts, trial: Trial, labels: tuple[Label, ...], hints: Hints, other: Other
) -> tuple[OutputSpec, tuple[Label, ...], list[str]]:
    """Return how the output is read, a label for each class, and how both were found."""
    if other.task is Task.DETECTION:
        return read_boxes(facts, trial, labels, hints, other.boxes)
    if other.task is Task.SEGMENTATION:
        read, found = read_map(facts, trial, labels, hints)
        return read, labels, found
    given = TensorFacts(facts.outputs[0].name, trial.shape, trial.dtype)
    classes = classes_of(given, facts.name)
    labels, background, why = fit_labels(labels, classes, hint=hints.background, name=facts.name)
    scores, scores_why = scores_for(facts, trial, hints)
    findings = [f"classes: {classes}{'; ' if why else ''}{why}", scores_why]
    return OutputSpec(scores=scores, background=background), labels, findings


def _card(
    facts: ModelFacts,
    spec: InputSpec,
    output: OutputSpec,
    labels: tuple[Label, ...],
    lineage: dict[str, Any],
) -> ArtifactCard:
    return ArtifactCard(
        file=facts.name,
        format=facts.format,
        precision=facts.precision,
        input=spec,
        output=output,
        size_bytes=len(facts.data),
        sha256=sha256(facts.data).hexdigest(),
        labels=labels,
        lineage=lineage,
    )


def _lineage(
    facts: ModelFacts, original: bytes, trial: Trial, findings: list[str]
) -> dict[str, Any]:
    """Return where the file is from, what was changed in it, and how its card came about."""
    return {
        "adopted": {
            "file": facts.name,
            "sha256": sha256(original).hexdigest(),
            "size_bytes": len(original),
            **facts.origin,
            "metadata": facts.described.about,
        },
        "changes": list(facts.changes),
        "findings": findings,
        "tried_with": trial.engine,
        "mejiro": __version__,
    }


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into one line, and take back a folder made for nothing."""
    made = not folder.exists()
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{folder} cannot be written: {error.strerror or error}; "
            "give a folder that takes files, with space for this one, as --out"
        ) from None
    finally:
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
