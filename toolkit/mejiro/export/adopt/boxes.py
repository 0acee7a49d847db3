"""Work out how a detector's outputs are read: which head it has, and what each output holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mejiro.errors import DataError, UsageError
from mejiro.export.adopt.answers import BACKGROUND_NAMES
from mejiro.export.adopt.facts import ModelFacts
from mejiro.export.adopt.hints import Background, Hints
from mejiro.export.adopt.trial import Trial, TriedOutput
from mejiro_runtime.card import OutputSpec, Scores, Task
from mejiro_runtime.errors import ModelError
from mejiro_runtime.fields import Fields
from mejiro_runtime.heads import DetectionSpec, Head, anchors_from_json
from mejiro_runtime.postprocess.detection import find_roles
from mejiro_runtime.preprocess import TensorInfo
from mejiro_runtime.types import Label

# A share of the input may lie a little outside of it; no head in pixels stays below this.
_MOST_SHARE = 2.0
_UNNAMED = frozenset({"???", "n/a"})


class Activation(str, Enum):
    """Say what makes probabilities of a detector's scores."""

    NONE = "none"
    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


@dataclass(frozen=True)
class BoxHints:
    """Hold what a user may know of a detector; None leaves it to the file."""

    head: Head | None = None
    roles: tuple[int, ...] = ()
    pixels: bool | None = None
    activation: Activation | None = None
    anchors: dict[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    iou: float | None = None


def read_anchors(value: Any) -> dict[str, Any]:
    """Return what the JSON of ``--anchors`` says, as DetectionSpec takes it; raises SpecError.

    It holds `grids` or `anchors`, and may hold `scales` and `x_first`, as a card does.
    """
    fields = Fields(value, "--anchors")
    found = anchors_from_json(fields)
    found["scales"] = fields.numbers("scales", DetectionSpec.scales)
    found["x_first"] = fields.flag("x_first", False)
    fields.finish()
    return found


def read_boxes(
    facts: ModelFacts, trial: Trial, labels: tuple[Label, ...], hints: Hints, boxes: BoxHints
) -> tuple[OutputSpec, tuple[Label, ...], list[str]]:
    """Return how the outputs are read, a label for each class, and how both were found."""
    if hints.scores is not None:
        raise UsageError("--scores is for classifiers; a detector's scores take --activation")
    head = boxes.head or _head(facts, [one.shape for one in trial.outputs], labels)
    infos = tuple(TensorInfo(one.name, one.shape, one.dtype) for one in trial.outputs)
    roles = boxes.roles or facts.roles or find_roles(facts.name, head, infos)
    if max(roles) >= len(infos):
        raise UsageError(f"{facts.name} has {len(infos)} outputs, --roles names {max(roles)}")
    labels, background, why = _fit_labels(facts, head, labels, hints)
    scores, sigmoid, scores_why = _scores(head, [trial.outputs[p] for p in roles], boxes, facts)
    pixels, unit_why = _unit(head, trial.outputs[roles[0]], boxes)
    more: dict[str, Any] = {"threshold": boxes.threshold, "iou": boxes.iou}
    more = {name: value for name, value in more.items() if value is not None}
    if head is Head.SSD:
        more |= boxes.anchors
    if head is Head.SSD and not boxes.anchors:
        raise UsageError(
            f"{facts.name} gives offsets from anchors, which it does not hold; "
            "give --anchors FILE (docs/tasks.md says what is in it)"
        )
    spec = DetectionSpec(
        head=head,
        roles=roles,
        sigmoid=sigmoid,
        pixels=pixels,
        **more,
    )
    findings = [
        f"head: {head.value}, outputs {', '.join(str(place) for place in roles)}",
        f"classes: {len(labels)}{'; ' if why else ''}{why}",
        *scores_why,
        *unit_why,
        f"threshold: {spec.threshold:g}" + ("" if boxes.threshold else ", unless told otherwise"),
    ]
    output = OutputSpec(Task.DETECTION, scores, background, detection=spec)
    return output, labels, findings


def _head(facts: ModelFacts, shapes: list[tuple[int, ...]], labels: tuple[Label, ...]) -> Head:
    """Return the head that the operators and the shapes tell; raises UsageError."""
    if facts.roles or len(shapes) == 4:
        return Head.POSTPROCESSED
    if len(shapes) == 2 and any(shape[-1:] == (4,) for shape in shapes):
        return Head.SSD
    if len(shapes) == 1:
        for head, values in ((Head.YOLO, 4), (Head.YOLO_OBJECTNESS, 5)):
            if values + len(labels) in shapes[0][-2:]:
                return head
        raise DataError(
            f"{facts.name} gives {list(shapes[0])}, which has neither 4 nor 5 values more than "
            f"{len(labels)} labels; give the labels that it was trained with"
        )
    raise UsageError(
        f"{facts.name} gives {', '.join(str(list(shape)) for shape in shapes)}, which does not "
        f"tell its head; give --head {'|'.join(head.value for head in Head)} and --roles"
    )


def _fit_labels(
    facts: ModelFacts, head: Head, labels: tuple[Label, ...], hints: Hints
) -> tuple[tuple[Label, ...], int | None, str]:
    """Return a label for each class, the background class, and what was done about it."""
    named = labels[0].name.strip().lower() in BACKGROUND_NAMES | _UNNAMED
    if head is not Head.POSTPROCESSED:
        first = hints.background is Background.FIRST or (named and hints.background is None)
        if first:
            return labels, 0, f"class 0, {labels[0].name}, is the background and never an answer"
        return labels, None, ""
    classes = facts.boxed_classes
    if classes is None or len(labels) == classes:
        return labels, None, "" if classes else "the file does not say how many it knows"
    if len(labels) == classes + 1 and named:
        fitting = tuple(Label(n, one.name, one.synset) for n, one in enumerate(labels[1:]))
        why = f"the label {labels[0].name} was dropped: the file counts from the next"
        return fitting, None, why
    raise DataError(
        f"{facts.name} knows {classes} classes, found {len(labels)} labels; "
        "give one label for each class"
    )


def _scores(
    head: Head, tried: list[TriedOutput], boxes: BoxHints, facts: ModelFacts
) -> tuple[Scores, bool, list[str]]:
    """Return what the scores are, whether each stands by itself, and how that was found."""
    if head is Head.POSTPROCESSED and boxes.activation is None:
        return Scores.PROBABILITIES, False, []
    if boxes.activation is not None:
        scores = Scores.PROBABILITIES if boxes.activation is Activation.NONE else Scores.LOGITS
        why = f"scores: {scores.value}, activation {boxes.activation.value}, as given"
        return scores, boxes.activation is Activation.SIGMOID, [why]
    output = tried[-1]
    inside = output.lowest >= 0 and output.highest <= 1 + 1e-3
    if head is Head.SSD and not inside:
        raise UsageError(
            f"{facts.name} gives scores of {output.lowest:.3g} to {output.highest:.3g}, which are "
            "logits; give --activation sigmoid or --activation softmax"
        )
    if head is not Head.SSD:
        return Scores.PROBABILITIES, False, ["scores: probabilities, as such heads give"]
    return Scores.PROBABILITIES, False, ["scores: probabilities, since they lie in 0..1 when tried"]


def _unit(head: Head, tried: TriedOutput, boxes: BoxHints) -> tuple[bool, list[str]]:
    """Return whether a YOLO head counts in pixels, and how that was found."""
    if head not in (Head.YOLO, Head.YOLO_OBJECTNESS):
        return False, []
    if boxes.pixels is not None:
        return boxes.pixels, [f"boxes: in {'pixels' if boxes.pixels else 'shares'}, as given"]
    pixels = tried.highest > _MOST_SHARE
    unit = "pixels of the input" if pixels else "shares of the input"
    return pixels, [f"boxes: in {unit}, since the values reach {tried.highest:.3g} when tried"]


def require_detector(facts: ModelFacts) -> None:
    """Raise ModelError if the file holds an operator whose boxes cannot be read."""
    strange = facts.operators & {"NonMaxSuppression", "EfficientNMS_TRT", "BatchedNMS_TRT"}
    if strange:
        raise ModelError(
            f"{facts.name} holds {min(strange)}, whose outputs have no fixed size; "
            "export it without: the runtime keeps the best of boxes that overlap itself"
        )
