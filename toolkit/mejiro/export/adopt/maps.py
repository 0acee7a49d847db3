"""Work out how a segmentation's output is read: what its axes are, and what it holds."""

from __future__ import annotations

from mejiro.errors import DataError, UsageError
from mejiro.export.adopt.answers import BACKGROUND_NAMES
from mejiro.export.adopt.facts import ModelFacts
from mejiro.export.adopt.hints import Background, Hints
from mejiro.export.adopt.trial import Trial
from mejiro_runtime.card import OutputSpec, Scores, Task
from mejiro_runtime.errors import ModelError
from mejiro_runtime.types import Label


def read_map(
    facts: ModelFacts, trial: Trial, labels: tuple[Label, ...], hints: Hints
) -> tuple[OutputSpec, list[str]]:
    """Return how the first output is read, and how that was found.

    An axis as long as there are labels holds their scores; a map without such an axis holds the
    number of the class if its type is a wide integer or all it gave were whole numbers, and else
    the score of the second of two labels.
    """
    output = trial.outputs[0]
    shape = output.shape
    if len(shape) not in (3, 4) or shape[0] != 1:
        raise ModelError(
            f"{facts.name} gives {output.dtype} {list(shape)}, which is no map of a picture; "
            "a segmentation gives (1, height, width) or that with an axis of classes"
        )
    scored = len(shape) == 4 and 1 not in (shape[1], shape[3])
    if scored and len(labels) not in (shape[1], shape[3]):
        raise DataError(
            f"{facts.name} gives {list(shape)}, found {len(labels)} labels; "
            "give one label for each class"
        )
    indices = not scored and (output.dtype in {"int32", "int64"} or output.whole)
    if indices and output.highest >= len(labels):
        raise DataError(
            f"{facts.name} gave class {output.highest:.0f} when tried, found {len(labels)} labels; "
            "give one label for each class"
        )
    if not indices and not scored and len(labels) != 2:
        raise DataError(
            f"{facts.name} gives one score for each place, found {len(labels)} labels; "
            "give two: what the score is not, and what it is"
        )
    scores, scores_why = _scores(facts, trial, hints, single=not indices and not scored)
    background, why = _background(labels, hints)
    what = "the number of the class" if indices else "a score for each class"
    kind = f"map: {' x '.join(str(side) for side in shape[1:])}, {what} of each place"
    return (
        OutputSpec(Task.SEGMENTATION, scores, background, indices=indices),
        [f"classes: {len(labels)}{why}", kind, *scores_why],
    )


def _scores(
    facts: ModelFacts, trial: Trial, hints: Hints, *, single: bool
) -> tuple[Scores, list[str]]:
    """Return what the scores are: it matters for a single one alone, which is compared to 0.5."""
    if not single:
        return Scores.PROBABILITIES, []
    if hints.scores is not None:
        return hints.scores, [f"scores: {hints.scores.value}, as given"]
    if facts.scores is not None:
        why = f"scores: {facts.scores.value}, since the graph ends in {facts.last_operator}"
        return facts.scores, [why]
    if trial.outputs[0].lowest < 0:
        return Scores.LOGITS, ["scores: logits, since some lie below 0 when tried"]
    raise UsageError(
        f"{facts.name} does not tell what its scores are; give --scores probabilities or logits"
    )


def _background(labels: tuple[Label, ...], hints: Hints) -> tuple[int | None, str]:
    """Return the class that is no answer, and what to say of it."""
    named = labels[0].name.strip().lower() in BACKGROUND_NAMES
    if hints.background is Background.FIRST or (named and hints.background is None):
        return 0, f"; class 0, {labels[0].name}, is the background and never an answer"
    return None, ""
