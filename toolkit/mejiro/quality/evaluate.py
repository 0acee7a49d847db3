"""Score exported files and float networks on labelled pictures, through the runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from time import perf_counter_ns
from typing import Any

from mejiro.data.folders import LabelledPicture
from mejiro.errors import DataError, QualityError
from mejiro.model import Evaluation
from mejiro.quality.answering import (
    Answer,
    Answering,
    EngineOptions,
    Subject,
    file_of,
    labels_of,
    open_answering,
)
from mejiro_runtime.errors import SourceError
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import Frame, PixelOrder

__all__ = ["EngineOptions", "evaluate"]


def evaluate(
    subjects: Sequence[Subject],
    pictures: Sequence[LabelledPicture],
    *,
    data: str,
    against: Subject | None = None,
    engine: EngineOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Evaluation]:
    """Return what each of `subjects` scored on `pictures`; `data` names them in the result.

    Each is an exported file, run by the engine that `engine` names, or a float network, run by
    Keras; both get their pixels from the runtime's preprocessing. Each picture is decoded once
    and shown to all. `against` is the reference whose first answers `agreement` is counted with;
    it may be one of `subjects`. `on_progress` gets (pictures done, pictures in all). Unreadable
    pictures are named and left out.

    Raises DataError if no picture can be read, and QualityError if two subjects, or one and the
    reference, have different labels, since their answers could not be compared.
    """
    engine = engine or EngineOptions()
    _check_labels(subjects, against)
    with ExitStack() as stack:

        def opened(subject: Subject, options: EngineOptions) -> Answering:
            return stack.enter_context(closing(open_answering(subject, options)))

        answering = [opened(subject, engine) for subject in subjects]
        everyone, reference = list(answering), None
        # The reference may be of another format than the engine that was asked for.
        if against in subjects and engine == EngineOptions():
            reference = answering[subjects.index(against)]
        elif against is not None:
            reference = opened(against, EngineOptions())
            everyone.append(reference)
        truths, unreadable = _show(everyone, pictures, on_progress)
        if not truths:
            raise DataError(
                f"none of the {len(pictures)} pictures of {data} can be read; "
                f"the first is {pictures[0].path}"
                if pictures
                else f"{data} holds no pictures"
            )
        wanted = None if reference is None else reference.answers()
        return [
            Evaluation(
                data=data,
                backend=one.info.to_json(),
                kernel=one.kernel,
                against=None if against is None else file_of(against),
                unreadable=unreadable,
                **_count(one.answers(), truths, wanted),
            )
            for one in answering
        ]


def _show(
    answering: Sequence[Answering],
    pictures: Sequence[LabelledPicture],
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[int], tuple[str, ...]]:
    """Show all pictures to all; return the truths of those that can be read, and the others."""
    truths: list[int] = []
    unreadable: list[str] = []
    for done, picture in enumerate(pictures):
        try:
            pixels = read_picture(picture.path)
        except SourceError:
            unreadable.append(str(picture.path))
        else:
            frame = Frame(pixels, PixelOrder.BGR, done, perf_counter_ns(), 0)
            for one in answering:
                one.show(frame)
            truths.append(picture.label_index)
        if on_progress is not None:
            on_progress(done + 1, len(pictures))
    return truths, tuple(unreadable)


def _count(
    answers: Sequence[Answer], truths: Sequence[int], wanted: Sequence[Answer] | None
) -> dict[str, Any]:
    """Return the counts and shares of an Evaluation; `wanted` are the reference's answers."""
    right = [answer[0] == truth for answer, truth in zip(answers, truths, strict=True)]
    in_top = sum(truth in answer for answer, truth in zip(answers, truths, strict=True))
    per_class: dict[int, tuple[int, int]] = {}
    for truth, hit in zip(truths, right, strict=True):
        seen, hits = per_class.get(truth, (0, 0))
        per_class[truth] = (seen + 1, hits + hit)
    agreed = None
    if wanted is not None:
        agreed = sum(one[0] == other[0] for one, other in zip(answers, wanted, strict=True))
    return {
        "pictures": len(truths),
        "top1": sum(right) / len(truths),
        "top5": in_top / len(truths),
        "agreement": None if agreed is None else agreed / len(truths),
        "per_class": dict(sorted(per_class.items())),
    }


def _check_labels(subjects: Sequence[Subject], against: Subject | None) -> None:
    if not subjects:
        raise DataError("there is no artifact to evaluate; give at least one")
    first = subjects[0]
    names = [label.name for label in labels_of(first)]
    for other in (*subjects[1:], *([against] if against else [])):
        if [label.name for label in labels_of(other)] != names:
            raise QualityError(
                f"{file_of(first)} and {file_of(other)} have different labels, so their answers "
                "cannot be compared; evaluate them apart"
            )
