"""Weigh files against each other: what each scores, what it costs, and which none would choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mejiro.data.folders import LabelledPicture
from mejiro.errors import UsageError
from mejiro.export.file_cost import multiply_adds
from mejiro.model import Artifact, Evaluation
from mejiro.quality.evaluate import EngineOptions, evaluate
from mejiro.race import Conditions, Pace, compare_paces, race
from mejiro.report.pareto import Comparison, Point
from mejiro_runtime.telemetry import describe_machine


@dataclass(frozen=True)
class Contender:
    """Hold one file with all that it is weighed by; `name` tells it from the others.

    `dominated_by` names a file that is as good in all that counts and better in something.
    """

    name: str
    artifact: Artifact
    evaluation: Evaluation
    pace: Pace
    multiply_adds: int
    dominated_by: str | None = None

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return self.artifact.card.size_bytes

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "file": self.name,
            "format": self.artifact.card.format.value,
            "precision": self.artifact.card.precision.value,
            "size_bytes": self.size_bytes,
            "multiply_adds": self.multiply_adds,
            "top1": self.evaluation.top1,
            "pictures": self.evaluation.pictures,
            "frame_to_label_ns": self.pace.median_ns,
            "rounds_ns": list(self.pace.label_ns),
            "engine": self.pace.engine,
            "dominated_by": self.dominated_by,
        }


def compare(
    artifacts: Sequence[Artifact],
    pictures: Sequence[LabelledPicture],
    *,
    data: str,
    conditions: Conditions | None = None,
    on_stage: Callable[[str], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Contender]:
    """Return each of `artifacts` scored on `pictures` and timed against the others.

    One dominates another if it answers at least as many pictures right, is not larger, and is
    not slower beyond what chance does, and is better in one of these: more pictures right, or
    smaller, or faster beyond chance. Raises UsageError for fewer than two files, and whatever
    `evaluate` and `race` raise.
    """
    conditions = conditions or Conditions()
    tell = on_stage or (lambda text: None)
    if len(artifacts) < 2:
        raise UsageError(f"a comparison needs two files or more, found {len(artifacts)}")
    tell(f"scoring {len(artifacts)} files on {len(pictures)} pictures")
    engine = EngineOptions(threads=conditions.threads)
    evaluations = evaluate(artifacts, pictures, data=data, engine=engine, on_progress=on_progress)
    tell("timing them by turns")
    paces = race(artifacts, conditions, on_progress=on_progress)
    names = _names(artifacts)
    contenders = [
        Contender(name, artifact, evaluation, pace, multiply_adds(artifact.path, card.format))
        for name, artifact, evaluation, pace in zip(
            names, artifacts, evaluations, paces, strict=True
        )
        for card in [artifact.card]
    ]
    return mark_dominated(contenders)


def _names(artifacts: Sequence[Artifact]) -> list[str]:
    """Return the files' names, with their folders where a name comes twice."""
    names = [artifact.card.file for artifact in artifacts]
    if len(set(names)) == len(names):
        return names
    return [f"{artifact.path.resolve().parent.name}/{artifact.card.file}" for artifact in artifacts]


def mark_dominated(contenders: Sequence[Contender]) -> list[Contender]:
    """Return `contenders` with `dominated_by` set: the best of those that dominate each."""
    marked = []
    for one in contenders:
        better = [other for other in contenders if other is not one and dominates(other, one)]
        best = max(
            better,
            key=lambda other: (other.evaluation.top1, -other.pace.median_ns),
            default=None,
        )
        marked.append(replace(one, dominated_by=None if best is None else best.name))
    return marked


def dominates(one: Contender, other: Contender) -> bool:
    """Say whether nobody would choose `other` who may have `one`; see `compare`."""
    time = compare_paces(one.pace, other.pace)
    as_good = (
        one.evaluation.top1 >= other.evaluation.top1
        and one.size_bytes <= other.size_bytes
        and not time.slower
    )
    better = (
        one.evaluation.top1 > other.evaluation.top1
        or one.size_bytes < other.size_bytes
        or time.faster
    )
    return as_good and better


def comparison_of(contenders: Sequence[Contender], conditions: Conditions) -> Comparison:
    """Return what a report shows of `contenders`, which were timed under `conditions`."""
    first, machine = contenders[0].evaluation, describe_machine()
    points = [
        Point(
            name=one.name,
            precision=one.artifact.card.precision.value,
            accuracy=one.evaluation.top1,
            latency_ns=one.pace.median_ns,
            size_bytes=one.size_bytes,
            multiply_adds=one.multiply_adds,
            dominated_by=one.dominated_by,
        )
        for one in contenders
    ]
    return Comparison(
        data=first.data,
        pictures=first.pictures,
        points=tuple(points),
        rounds=conditions.rounds,
        engines=tuple(dict.fromkeys(one.pace.engine for one in contenders)),
        machine=f"{machine['board'] or machine['cpu']}, {machine['cpus']} CPUs",
    )
