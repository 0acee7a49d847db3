"""Time exported files against each other on this machine; see `mejiro_runtime.race`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mejiro.model import Artifact
from mejiro_runtime.intervals import Ratio, median_ratio
from mejiro_runtime.race import DEFAULT_FRAMES, DEFAULT_ROUNDS, Conditions, Pace
from mejiro_runtime.race import race as race_files

__all__ = [
    "DEFAULT_FRAMES",
    "DEFAULT_ROUNDS",
    "Conditions",
    "Pace",
    "Ratio",
    "compare_paces",
    "median_ratio",
    "race",
]


def compare_paces(one: Pace, other: Pace) -> Ratio:
    """Return how long `one` takes over what `other` takes, from frame to label."""
    return median_ratio(one.label_ns, other.label_ns)


def race(
    artifacts: Sequence[Artifact],
    conditions: Conditions | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Pace]:
    """Return the pace of each of `artifacts`, run by turns on the same synthetic frames."""
    files = [(artifact.path, artifact.card) for artifact in artifacts]
    return race_files(files, conditions or Conditions(), on_progress=on_progress)
