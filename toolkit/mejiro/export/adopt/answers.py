"""Work out how a classifier's output is read: which class has which name, and what a score is."""

from __future__ import annotations

from mejiro.errors import DataError, UsageError
from mejiro.export.adopt.facts import ModelFacts
from mejiro.export.adopt.hints import Background, Hints
from mejiro.export.adopt.trial import Trial
from mejiro_runtime.card import Scores
from mejiro_runtime.errors import ModelError
from mejiro_runtime.types import Label

BACKGROUND_NAMES = frozenset({"background", "__background__"})
# ImageNet's 1000 classes after one for the background: TF-Slim's way, and no other set's.
IMAGENET_CLASSES = 1000
# float16 scores of 1000 classes add up to within this of 1.
_SUM_TOLERANCE = 0.01


def fit_labels(
    labels: tuple[Label, ...], classes: int, *, hint: Background | None, name: str
) -> tuple[tuple[Label, ...], int | None, str]:
    """Return one label for each of `classes`, the background class if any, and how it was found.

    As many labels as classes: a first one named background is the background. 1000 labels for
    1001 classes: class 0 is the background. One label too many, the first named background: it
    is dropped. One too few otherwise is the background or a missing name, and only
    `Background.FIRST` tells; anything else raises DataError.
    """
    named = labels[0].name.strip().lower() in BACKGROUND_NAMES
    if len(labels) == classes:
        if hint is Background.FIRST or (named and hint is None):
            return labels, 0, f"class 0, {labels[0].name}, is the background and never an answer"
        return labels, None, ""
    if len(labels) == classes - 1 and not named:
        imagenet = len(labels) == IMAGENET_CLASSES and hint is None
        if hint is Background.FIRST or imagenet:
            found = "class 0 is the background and never an answer; the labels start at class 1"
            return _numbered((Label(0, "background"), *labels)), 0, found
        if hint is None:
            raise UsageError(
                f"{name} gives {classes} scores, found {len(labels)} labels; give "
                "--background first if class 0 stands for none of them, else the missing label"
            )
    if len(labels) == classes + 1 and named and hint is not Background.FIRST:
        return (
            _numbered(labels[1:]),
            None,
            "the label background was dropped: no class is left for it",
        )
    raise DataError(
        f"{name} gives {classes} scores, found {len(labels)} labels; give one label for each score"
    )


def _numbered(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    return tuple(Label(index, label.name, label.synset) for index, label in enumerate(labels))


def scores_for(facts: ModelFacts, trial: Trial, hints: Hints) -> tuple[Scores, str]:
    """Return whether a file's output holds probabilities or logits, and how that was found.

    What is given holds; else what the graph ends in; else scores that add up to 1 on each frame
    of the trial, or whose integers stand for 0..1, are probabilities. Raises UsageError if
    nothing tells, and ModelError if a softmax was taken over another axis than the classes.
    """
    summed = all(abs(total - 1) <= _SUM_TOLERANCE for total in trial.sums)
    if hints.scores is not None:
        return hints.scores, f"scores: {hints.scores.value}, as given"
    if facts.scores is not None:
        softmax = facts.last_operator in {"Softmax", "SOFTMAX"}
        if softmax and trial.dtype.startswith("float") and not summed:
            raise ModelError(
                f"{facts.name} ends in {facts.last_operator}, but its scores add up to "
                f"{trial.sums[0]:.3g} instead of 1; its softmax runs over another axis: "
                "export it again"
            )
        found = f"scores: {facts.scores.value}, since the graph ends in {facts.last_operator}"
        return facts.scores, found
    if summed and trial.lowest >= 0:
        return Scores.PROBABILITIES, "scores: probabilities, since they add up to 1 when tried"
    steps = facts.outputs[0].quantization
    if steps is not None and abs(steps.scale * 256 - 1) <= _SUM_TOLERANCE and trial.lowest >= 0:
        return Scores.PROBABILITIES, "scores: probabilities, since their integers cover 0..1"
    raise UsageError(
        f"{facts.name} ends in {facts.last_operator or 'no known operator'}, which does not tell "
        "what its scores are; give --scores probabilities or --scores logits"
    )
