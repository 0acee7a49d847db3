"""Make the files that the steps of a repair plan, and measure them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mejiro.data.calibration import CalibrationSet
from mejiro.export import Exporter, Outputs, export_with
from mejiro.export.linear_head import find_linear_head
from mejiro.export.quantize import convert_for_quantization, pixel_quantization, quantize
from mejiro.export.recipe import Recipe
from mejiro.model import Artifact, FloatModel
from mejiro.quality.convert import Scoring
from mejiro.quality.evaluate import evaluate
from mejiro.quality.repair.budget import SAME_PACE, Budget, Candidate, Plan
from mejiro.quality.repair.looks import Looks
from mejiro.quality.repair.pacing import ROUNDS, time_against
from mejiro.race import Conditions
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings
from mejiro.train.pictures import Pictures
from mejiro_runtime.card import Format, Precision

Lessons = Callable[[], Pictures | None]

# Trained weights have little way to go to those that round well, and lose by more.
QAT_EPOCHS, QAT_RATE = 4, 1e-4


def _no_lessons() -> Pictures | None:
    return None


@dataclass(frozen=True, eq=False)
class Means:
    """Hold what a repair works with.

    `formats` are those wanted of int8; TFLite is made and timed in any case, since the others are
    translated from it. `lessons` gives pictures to train on, None if there are none, and is asked
    only when it comes to that. `conditions` say how files are timed; see `pacing`.
    """

    scoring: Scoring
    budget: Budget
    calibration: CalibrationSet
    formats: tuple[Format, ...] = (Format.TFLITE,)
    outputs: Outputs = field(default_factory=Outputs)
    lessons: Lessons = _no_lessons
    training: FinetuneSettings = field(
        default_factory=lambda: FinetuneSettings(QAT_EPOCHS, QAT_RATE)
    )
    conditions: Conditions = field(default_factory=lambda: Conditions(rounds=ROUNDS))
    events: Events = field(default_factory=Events)


class Bench:
    """Hold the network under repair, and the candidates so far; files go into `folder`.

    The first candidate is the int8 file as it comes without a repair. `float_top1` is what the
    float reference scored.
    """

    def __init__(self, model: FloatModel, means: Means, folder: Path, float_top1: float) -> None:
        self.model, self.means, self.folder = model, means, folder
        self.float_top1 = float_top1
        self.looks = Looks(model, means.calibration, means.events.stage)
        self.candidates: list[Candidate] = []
        self._source: bytes | None = None

    @property
    def plain(self) -> Candidate:
        """The int8 file without a repair."""
        return self.candidates[0]

    @property
    def best(self) -> Candidate:
        """The candidate to build on: of those fast enough, the first that lost the fewest points.

        If none is, as when a file is to be faster than the plain one, that of all.
        """
        fast = [one for one in self.candidates if self._is_fast_enough(one)]
        return min(fast or self.candidates, key=lambda one: one.lost)

    def source_of(self, plan: Plan) -> bytes:
        """Return the float file that a plan quantizes, the model's own if it has none."""
        if plan.source is not None:
            return plan.source
        if self._source is None:
            self.means.events.stage("converting to TFLite fp32")
            head = find_linear_head(self.model) if self.means.outputs.with_features else None
            self._source = convert_for_quantization(self.model, head)
        return self._source

    def recipe_of(self, plan: Plan) -> Recipe:
        """Return the recipe of a plan, the usual one for what was quantized without."""
        return plan.recipe or self.means.outputs.recipe or Recipe()

    def int8_of(self, plan: Plan) -> bytes:
        """Return the TFLite file that calibration makes of a plan."""
        source, recipe = self.source_of(plan), self.recipe_of(plan)
        ranges = self.looks.ranges(source, recipe)
        return quantize(source, recipe, ranges, pixels=pixel_quantization(self.model))

    def attempt(self, step: str, plan: Plan) -> Candidate:
        """Write the files of a plan, score them, time what may be kept; remember the candidate.

        Other formats than TFLite are made and scored only where that loses little enough. What
        loses little enough, or less than the best so far, is timed.
        """
        begun = time.monotonic()
        exporter = self._exporter(plan)
        folder = self.folder / f"{len(self.candidates):02d}"
        folder.mkdir()
        candidate = Candidate(step, plan, {}, {}, -100.0, 0.0)
        for kind in dict.fromkeys((Format.TFLITE, *self.means.formats)):
            if candidate.files and not self.means.budget.allows_drop(candidate.lost):
                break
            candidate = self._with(candidate, kind, exporter, folder)
        if not self.candidates:
            candidate = replace(candidate, pace=SAME_PACE)
            self.looks.pictures = exporter.calibration or self.looks.pictures
        elif self.means.budget.allows_drop(candidate.lost) or candidate.lost < self.best.lost:
            candidate = self.timed(candidate)
        candidate = replace(candidate, seconds=time.monotonic() - begun)
        self.candidates.append(candidate)
        return candidate

    def timed(self, candidate: Candidate) -> Candidate:
        """Return a candidate with its time over the plain file's, run by turns with that."""
        if candidate.pace is not None:
            return candidate
        means = self.means
        file, plain = (one.files[Format.TFLITE] for one in (candidate, self.plain))
        means.events.stage("timing it against the plain int8 file")
        limit, progress = means.budget.max_slower, means.events.progress
        pace = time_against(file, plain, limit, means.conditions, progress)
        return replace(candidate, pace=pace)

    def complete(self, candidate: Candidate) -> Candidate:
        """Return a candidate with files of all formats that are wanted."""
        missing = [kind for kind in self.means.formats if kind not in candidate.files]
        if missing:
            exporter = self._exporter(candidate.plan)
            folder = candidate.files[Format.TFLITE].path.parent
            for kind in missing:
                candidate = self._with(candidate, kind, exporter, folder)
        return candidate

    def _is_fast_enough(self, candidate: Candidate) -> bool:
        return candidate.pace is not None and self.means.budget.allows_time(candidate.pace)

    def _with(
        self, candidate: Candidate, kind: Format, exporter: Exporter, folder: Path
    ) -> Candidate:
        """Return a candidate with a file of one format more, and its score."""
        file = export_with(exporter, format=kind, precision=Precision.INT8, out=folder)
        self.means.events.stage(f"scoring {kind.value}: {candidate.words}")
        top1 = self._top1(file)
        return replace(
            candidate,
            files={**candidate.files, kind: file},
            top1={**candidate.top1, kind: top1},
            lost=max(candidate.lost, 100 * (self.float_top1 - top1)),
        )

    def _top1(self, file: Artifact) -> float:
        scoring, tell = self.means.scoring, self.means.events.progress
        (result,) = evaluate([file], scoring.pictures, data=scoring.data, on_progress=tell)
        return result.top1

    def _exporter(self, plan: Plan) -> Exporter:
        """Return what makes the files of a plan."""
        model, outputs, tell = plan.model or self.model, self.means.outputs, self.means.events.stage
        if not plan.done:
            return Exporter(
                model,
                calibration=self.means.calibration,
                recipe=outputs.recipe,
                with_features=outputs.with_features,
                on_progress=tell,
            )
        done = {"done": list(plan.done), "amended": plan.source is not None}
        model = replace(model, lineage={**model.lineage, "repair": done})
        if plan.model is not None:
            return Exporter(model, with_features=outputs.with_features, on_progress=tell)
        source, recipe = self.source_of(plan), self.recipe_of(plan)
        ranges = self.looks.ranges(source, recipe)
        return Exporter(
            model,
            calibration=self.looks.pictures,
            with_features=outputs.with_features,
            recipe=recipe,
            ranges=ranges,
            source=source,
            on_progress=tell,
        )
