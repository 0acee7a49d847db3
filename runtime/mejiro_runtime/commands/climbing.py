"""Let a run change between the artifacts of a bundle, to keep up its frames a second."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter_ns
from typing import Any

from mejiro_runtime.bundle import Bundle, tuned_path
from mejiro_runtime.card import ArtifactCard
from mejiro_runtime.commands.printing import write_json
from mejiro_runtime.commands.showing import Run
from mejiro_runtime.errors import BackendError, ModelError, SpecError, UsageError
from mejiro_runtime.ladder import Ladder, Switch
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.pipeline import Pipeline, Step
from mejiro_runtime.selection import runnable_cards
from mejiro_runtime.sources.synthetic import SyntheticSource
from mejiro_runtime.tune import recorded_top1
from mejiro_runtime.tuned import Pace, read_tuned, why_stale

FRAME_WIDTH, FRAME_HEIGHT = 640, 480
WARM_FRAMES, TIMED_FRAMES = 3, 10
KEPT_SWITCHES = 100


class Climber:
    """Follow a run's steps, and exchange its model when the ladder says so.

    All models stay open: opening one takes longer than a frame may.
    """

    def __init__(self, models: Sequence[Model], paces_ns: Sequence[int], fps: float) -> None:
        self.models, self.fps = tuple(models), fps
        self.ladder = Ladder(paces_ns, int(1e9 / fps))
        self.count = 0
        self.newest: deque[Switch] = deque(maxlen=KEPT_SWITCHES)

    @property
    def model(self) -> Model:
        """The model that runs now."""
        return self.models[self.ladder.rung]

    def follow(self, step: Step, pipeline: Pipeline, run: Run, *, json: bool) -> None:
        """Take a step into account; if it leads to a switch, make it and tell it."""
        taken_ns = step.result.timing.frame_to_label_ns + step.sink_ns
        switch = self.ladder.observe(perf_counter_ns(), taken_ns)
        if switch is None:
            return
        self.count += 1
        self.newest.append(switch)
        pipeline.model = self.model
        run.change_model(self.model)
        told = (
            f"{self._name(switch.after)} instead of {self._name(switch.before)}: {switch.why} "
            f"({switch.p95_ns / 1e6:.1f} ms, budget {switch.budget_ns / 1e6:.1f} ms)"
        )
        run.notes[:] = [f"{told}."]
        sys.stderr.write(f"ladder: {told}\n")
        if json:
            write_json({"switch": self._json(switch)}, indent=None)

    def _name(self, rung: int) -> str:
        return self.models[rung].card.file

    def _json(self, switch: Switch) -> dict[str, Any]:
        value = switch._asdict()
        return value | {"before": self._name(switch.before), "after": self._name(switch.after)}

    def told(self) -> dict[str, Any]:
        """Return what the run's report says of the ladder."""
        rungs = [
            {"artifact": model.card.file, "pace_ns": pace}
            for model, pace in zip(self.models, self.ladder.paces_ns, strict=True)
        ]
        return {
            "ladder": {
                "keep_fps": self.fps,
                "rungs": rungs,
                "switches": self.count,
                "newest": [self._json(switch) for switch in self.newest],
            }
        }


@contextmanager
def open_ladder(options: argparse.Namespace, bundle: Bundle, chosen: Model) -> Iterator[Climber]:
    """Open the artifacts to change between, `chosen` among them."""
    if not 0 < options.keep_fps <= 1000:
        raise UsageError(f"--keep-fps is above 0 and at most 1000, found {options.keep_fps:g}")
    tuned = _tuned_paces(bundle)
    with ExitStack() as stack:
        found = [(chosen, _pace_ns(chosen, tuned.get(chosen.card.file)))]
        for card in runnable_cards(bundle):
            if card.file == chosen.card.file:
                continue
            try:
                model = stack.enter_context(_open(bundle, card, tuned.get(card.file), options))
            except (BackendError, ModelError) as error:
                sys.stderr.write(f"ladder: without {card.file}: {error}\n")
                continue
            found.append((model, _pace_ns(model, tuned.get(card.file))))
        rungs = rungs_of(found, top=chosen if options.artifact_given else None)
        if len(rungs) < 2:
            sys.stderr.write("ladder: the bundle has no faster artifact to change to\n")
        yield Climber([model for model, _ in rungs], [pace for _, pace in rungs], options.keep_fps)


def rungs_of(
    found: Sequence[tuple[Model, int]], *, top: Model | None = None
) -> list[tuple[Model, int]]:
    """Return the models worth having, the slowest first: each faster one may be less accurate.

    One that is slower than another without being more accurate is none, where both are recorded.
    With `top`, that is the first, and slower ones are left out.
    """
    ordered = sorted(found, key=lambda one: one[1], reverse=True)
    if top is not None:
        ordered = ordered[[model for model, _ in ordered].index(top) :]
    rungs = []
    for place, (model, pace) in enumerate(ordered):
        mine = recorded_top1(model.card)
        faster = [recorded_top1(other.card) for other, _ in ordered[place + 1 :]]
        beaten = mine is not None and any(one is not None and one >= mine for one in faster)
        if model is top or not beaten:
            rungs.append((model, pace))
    return rungs


def _tuned_paces(bundle: Bundle) -> dict[str, Pace]:
    """Return what tuning found of each artifact, as far as that holds."""
    if not tuned_path(bundle.folder).exists():
        return {}
    try:
        tuned = read_tuned(bundle.folder)
    except SpecError:
        return {}  # said already when the bundle was opened
    return {pace.artifact: pace for pace in tuned.paces if why_stale(tuned, pace, bundle) is None}


def _open(
    bundle: Bundle, card: ArtifactCard, pace: Pace | None, options: argparse.Namespace
) -> Model:
    return open_model(
        bundle.model_path(card),
        card,
        backend=pace.backend if pace else None,
        threads=pace.threads if pace else options.threads,
        top=options.top,
    )


def _pace_ns(model: Model, pace: Pace | None) -> int:
    """Return the median from frame to label: as tuned, else measured now."""
    if pace is not None:
        return pace.median_ns
    with SyntheticSource(FRAME_WIDTH, FRAME_HEIGHT) as source:
        stream = source.frames()
        taken = [model(next(stream)).timing.frame_to_label_ns for _ in range(TIMED_FRAMES)]
    return round(statistics.median(taken[WARM_FRAMES:]))
