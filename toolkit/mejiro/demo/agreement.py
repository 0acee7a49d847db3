"""Count how often an int8 file answers as float does, where there are no labelled pictures.

This is no accuracy: both may be wrong together. It needs no labels, though, so it can be counted
on a machine that has no pictures but those that Mejiro's dependencies ship.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from mejiro.data.calibration import SampleView
from mejiro.demo.scenes import Scene
from mejiro.model import Artifact
from mejiro_runtime.model import open_model
from mejiro_runtime.types import Frame

TOP = 5

# Other windows than those of the default calibration, so that no picture is counted that a
# quantizer has seen; it has seen the same photographs, and reports say so.
_WINDOWS = (
    (0.92, 0.0, 0.0),
    (0.92, 1.0, 1.0),
    (0.84, 0.5, 0.5),
    (0.7, 0.15, 0.5),
    (0.7, 0.85, 0.5),
    (0.62, 0.5, 0.25),
)


@dataclass(frozen=True)
class Agreement:
    """Hold how often one artifact answered as the reference did.

    `first` counts the views with the same first answer, `in_top` those where the reference's
    first answer is among the artifact's first five.
    """

    against: str
    photographs: int
    views: int
    first: int
    in_top: int

    @property
    def share(self) -> float:
        """Share of the views with the same first answer, 0..1."""
        return self.first / self.views

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "against": self.against,
            "photographs": self.photographs,
            "views": self.views,
            "first": self.first,
            "in_top": self.in_top,
        }


def views_of(scenes: Sequence[Scene]) -> tuple[SampleView, ...]:
    """Return the crops to count on: each window of each photograph, as it is and mirrored."""
    return tuple(
        SampleView(scene.sample, share=share, across=across, down=down, mirrored=mirrored)
        for scene in scenes
        for share, across, down in _WINDOWS
        for mirrored in (False, True)
    )


def count_agreement(
    artifacts: Sequence[Artifact],
    reference: Artifact,
    scenes: Sequence[Scene],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Agreement]:
    """Return how often each of `artifacts` answers as `reference` does, through the runtime."""
    views = views_of(scenes)
    first, in_top = [0] * len(artifacts), [0] * len(artifacts)
    with ExitStack() as stack:
        wanted_by, *models = [
            stack.enter_context(open_model(artifact.path, artifact.card, top=TOP))
            for artifact in (reference, *artifacts)
        ]
        for done, view in enumerate(views):
            pixels, order = view.read()
            frame = Frame(pixels, order, done, captured_ns=0, capture_ns=0)
            wanted = wanted_by(frame).top[0].label.index
            for place, model in enumerate(models):
                answers = [answer.label.index for answer in model(frame).top]
                first[place] += answers[0] == wanted
                in_top[place] += wanted in answers
            if on_progress is not None:
                on_progress(done + 1, len(views))
    return [
        Agreement(reference.card.file, len(scenes), len(views), same, among)
        for same, among in zip(first, in_top, strict=True)
    ]
