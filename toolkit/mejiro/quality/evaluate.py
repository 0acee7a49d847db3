"""Score exported files on labelled pictures, each through the runtime's own preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from time import perf_counter_ns

from mejiro.data.folders import LabelledPicture
from mejiro.errors import DataError, QualityError
from mejiro.model import Artifact, Evaluation
from mejiro_runtime.errors import SourceError
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import Frame, PixelOrder

TOP = 5


@dataclass(frozen=True)
class EngineOptions:
    """Say which engine scores: see `mejiro_runtime.model.open_model`."""

    backend: str | None = None
    threads: int | None = None
    allow_fallback: bool = False


@dataclass
class _Tally:
    """Count one model's answers while the pictures go by."""

    right: int = 0
    in_top: int = 0
    agreed: int = 0
    per_class: dict[int, list[int]] = field(default_factory=dict)


def evaluate(
    artifacts: Sequence[Artifact],
    pictures: Sequence[LabelledPicture],
    *,
    data: str,
    against: Artifact | None = None,
    engine: EngineOptions | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Evaluation]:
    """Return what each of `artifacts` scored on `pictures`; `data` names them in the result.

    Each picture is decoded once and shown to every model. `against` is the reference whose
    first answers `agreement` is counted with; it may be one of `artifacts`. `on_progress` gets
    (pictures done, pictures in all). Unreadable pictures are named and left out.

    Raises DataError if no picture can be read, and QualityError if two artifacts, or one and
    the reference, have different labels, since their answers could not be compared.
    """
    engine = engine or EngineOptions()
    _check_labels(artifacts, against)
    with ExitStack() as stack:
        models = [stack.enter_context(_open(artifact, engine)) for artifact in artifacts]
        # The reference may be of another format than the engine that was asked for.
        reference = stack.enter_context(_open(against, EngineOptions())) if against else None
        tallies = [_Tally() for _ in models]
        unreadable: list[str] = []
        for done, picture in enumerate(pictures):
            try:
                pixels = read_picture(picture.path)
            except SourceError:
                unreadable.append(str(picture.path))
            else:
                frame = Frame(pixels, PixelOrder.BGR, done, perf_counter_ns(), 0)
                wanted = reference(frame).top[0].label.index if reference else None
                for model, tally in zip(models, tallies, strict=True):
                    _count(tally, model, frame, picture.label_index, wanted)
            if on_progress is not None:
                on_progress(done + 1, len(pictures))
        scored = len(pictures) - len(unreadable)
        if not scored:
            raise DataError(
                f"none of the {len(pictures)} pictures of {data} can be read; "
                f"the first is {pictures[0].path}"
                if pictures
                else f"{data} holds no pictures"
            )
        return [
            Evaluation(
                data=data,
                pictures=scored,
                top1=tally.right / scored,
                top5=tally.in_top / scored,
                backend=model.info.to_json(),
                kernel=model.preprocessor.kernel.name,
                against=against.card.file if against else None,
                agreement=tally.agreed / scored if against else None,
                per_class={key: (n, right) for key, (n, right) in sorted(tally.per_class.items())},
                unreadable=tuple(unreadable),
            )
            for model, tally in zip(models, tallies, strict=True)
        ]


def _open(artifact: Artifact, engine: EngineOptions) -> Model:
    return open_model(
        artifact.path,
        artifact.card,
        backend=engine.backend,
        threads=engine.threads,
        allow_fallback=engine.allow_fallback,
        top=TOP,
    )


def _count(tally: _Tally, model: Model, frame: Frame, truth: int, wanted: int | None) -> None:
    answers = [answer.label.index for answer in model(frame).top]
    right = answers[0] == truth
    tally.right += right
    tally.in_top += truth in answers
    tally.agreed += answers[0] == wanted
    pair = tally.per_class.setdefault(truth, [0, 0])
    pair[0] += 1
    pair[1] += right


def _check_labels(artifacts: Sequence[Artifact], against: Artifact | None) -> None:
    if not artifacts:
        raise DataError("there is no artifact to evaluate; give at least one")
    first = artifacts[0].card
    for other in (*artifacts[1:], *([against] if against else [])):
        if [label.name for label in other.card.labels] != [label.name for label in first.labels]:
            raise QualityError(
                f"{first.file} and {other.card.file} have different labels, so their answers "
                "cannot be compared; evaluate them apart"
            )
