"""Break networks on purpose and repair them; repair a network that int8 does harm by itself.

A channel of EfficientNet-Lite0 (--photographs: class folders named by synsets or classes of
ImageNet) is made 200 times as large and divided again by what reads it, which float does not
notice: int8 collapses. The same is done to the training run --broken. The training run --run, say
of a network with swish, is repaired as it is. Runs are scored on the pictures in --data that they
validated with. For each the points lost against float are recorded, of the plain int8 file and of
the repaired one, in both formats, and what each step gave.

    python benchmarks/repair.py --data DIR --run RUN --broken RUN --photographs DIR
        --calibration DIR [--out FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import numpy as np

from mejiro.data.calibration import CalibrationSet, calibration_from_folder
from mejiro.data.folders import labelled_pictures
from mejiro.export import Exporter, export_with
from mejiro.model import FloatModel
from mejiro.quality.convert import Scoring
from mejiro.quality.diagnose import diagnose, scale_channel
from mejiro.quality.evaluate import evaluate
from mejiro.quality.lessons import read_lessons
from mejiro.quality.repair import STEPS, Budget, Means, Record, repair
from mejiro.quality.run_calibration import calibration_from_run
from mejiro.quality.run_scores import select_validation
from mejiro.train.events import Events
from mejiro.train.pictures import Pictures
from mejiro.zoo import build, open_model
from mejiro_runtime.card import Format, Precision

FACTOR = 200.0
BUDGET = Budget(max_drop=0.5, max_slower=1.15)
# Layers of EfficientNet-Lite0 that pass a factor on, and channels drawn once.
BREAKS = (("block1a_project", 3), ("block1a_project", 12), ("block7a_project", 101))
KINDS = [(Format.TFLITE, Precision.INT8), (Format.ONNX, Precision.INT8)]


@dataclass(frozen=True)
class Subject:
    """Hold a network, the pictures to score it on and to calibrate it with, and its lessons."""

    name: str
    model: FloatModel
    scoring: Scoring
    calibration: CalibrationSet
    lessons: Callable[[], Pictures | None]


@dataclass(frozen=True)
class Result:
    """Hold what a repair gave; points lost are against the unbroken network's float file."""

    record: Record
    plain: float
    repaired: float
    named: bool

    @property
    def points_lost(self) -> dict[str, list[float]]:
        """What each candidate lost against the float file of the network as it was repaired."""
        tried = (one.candidate for one in self.record.attempts)
        return {f"{one.step}: {one.words}": [one.lost] for one in tried if one is not None}

    @property
    def words(self) -> str:
        """Say what was kept, and how long it took to find."""
        seconds = sum(one.seconds for one in self.record.attempts)
        return f"kept in {seconds:.0f} s: {self.record.kept.step}, {self.record.kept.words}"


def of_zoo(options: argparse.Namespace) -> Subject:
    model = build("efficientnet-lite0")
    pictures = labelled_pictures(options.photographs, model.labels)
    scoring = Scoring(pictures, options.photographs.resolve().name)
    calibration = calibration_from_folder(options.calibration)
    return Subject("EfficientNet-Lite0", model, scoring, calibration, lambda: None)


def of_run(run: Path, options: argparse.Namespace, cache: Path) -> Subject:
    model = open_model(str(run))
    selection = select_validation(run, options.data, model.labels)
    scoring = Scoring(selection.pictures, selection.data)

    def lessons() -> Pictures | None:
        return read_lessons(model, str(run), None, cache)

    name = f"{model.name} on {selection.data}"
    return Subject(name, model, scoring, calibration_from_run(run), lessons)


def float_top1(subject: Subject, folder: Path) -> float:
    exporter = Exporter(subject.model)
    file = export_with(exporter, format=Format.TFLITE, precision=Precision.FP32, out=folder)
    (found,) = evaluate([file], subject.scoring.pictures, data=subject.scoring.data)
    return found.top1


def mend(subject: Subject, model: FloatModel, whole: float, layer: str | None) -> Result:
    """Repair `model`, which was made of the subject's; `whole` is the share that float had."""
    means = Means(
        scoring=subject.scoring,
        budget=BUDGET,
        calibration=subject.calibration,
        lessons=subject.lessons,
        events=Events(),
    )
    with tempfile.TemporaryDirectory() as folder:
        record = repair(model, KINDS, Path(folder), means, STEPS).record
        named = layer is None or _named(model, subject, Path(folder)) == layer
    plain = record.attempts[0].candidate
    before = 0.0 if plain is None else 100 * (whole - min(plain.top1.values()))
    after = 100 * (whole - min(record.kept.top1.values()))
    print(f"{subject.name}, {layer or 'whole'}: {before:.1f} points lost, repaired {after:.1f}")
    for one in record.attempts:
        words = "" if one.candidate is None else f"{one.candidate.words}: {one.candidate.lost:.2f}"
        print(f"  {one.step}: {words} ({one.verdict}, {one.seconds:.0f} s)", flush=True)
    return Result(record, before, after, named)


def _named(model: FloatModel, subject: Subject, folder: Path) -> str:
    """Return the layer that a diagnosis of the plain int8 file ranks first."""
    exporter = Exporter(model, calibration=subject.calibration)
    file = export_with(
        exporter, format=Format.TFLITE, precision=Precision.INT8, out=folder / "plain"
    )
    few = CalibrationSet(subject.calibration.name, subject.calibration.pictures[:16])
    return diagnose(file, model, few).layers[0].name


def break_and_mend(subject: Subject, breaks: Sequence[tuple[str, int]]) -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        whole = float_top1(subject, Path(folder))
    return [
        mend(subject, scale_channel(subject.model, layer, channel, FACTOR), whole, layer)
        for layer, channel in breaks
    ]


def figures_of(name: str, results: Sequence[Result], *, broken: bool) -> list[harness.Ratio]:
    plain, repaired = ([getattr(one, key) for one in results] for key in ("plain", "repaired"))
    found = [
        spread(f"{name}: plain int8, points lost", plain, None),
        spread(f"{name}: repaired, points lost", repaired, 1.0),
    ]
    paces = [one.record.kept.pace for one in results]
    ratios = [pace.median for pace in paces if pace is not None]
    found.append(spread(f"{name}: repaired over plain, time", ratios, BUDGET.max_slower))
    if broken:
        named = [float(one.named) for one in results]
        found.append(spread(f"{name}: layer named by diagnose", named, 1.0, lower=False))
    return found


def spread(
    name: str, values: Sequence[float], limit: float | None, *, lower: bool = True
) -> harness.Ratio:
    """Return the median, with the least and the greatest in place of an interval.

    Where there is a limit, the worst of all must reach it, so that is what stands for the median.
    """
    worst = (max if lower else min)(values)
    middle = float(np.median(values)) if limit is None else worst
    return harness.Ratio(name, middle, min(values), max(values), limit, lower_is_better=lower)


def measure(
    options: argparse.Namespace, breaks: Sequence[tuple[str, int]], cache: Path
) -> tuple[list[harness.Ratio], dict[str, Any], list[str]]:
    """Return the figures of all networks that were named, all that was measured, and notes."""
    figures: list[harness.Ratio] = []
    rounds: dict[str, Any] = {}
    notes: list[str] = []
    subjects = [of_zoo(options)] if options.photographs else []
    subjects += [of_run(options.broken, options, cache)] if options.broken else []
    for subject in subjects:
        results = break_and_mend(subject, breaks)
        name = f"{subject.name}, broken"
        figures += figures_of(name, results, broken=True)
        for (layer, channel), one in zip(breaks, results, strict=True):
            rounds[f"{name}: {layer}, channel {channel}"] = one.points_lost
            notes.append(f"{name}, {layer}, channel {channel}: {one.words}")
    if options.run:
        subject = of_run(options.run, options, cache)
        with tempfile.TemporaryDirectory() as folder:
            whole = float_top1(subject, Path(folder))
        result = mend(subject, subject.model, whole, None)
        figures += figures_of(subject.name, [result], broken=False)
        rounds[subject.name] = result.points_lost
        notes.append(f"{subject.name}: {result.words}")
    return figures, rounds, notes


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="the pictures of the runs, by class")
    parser.add_argument("--run", type=Path, help="a training run to repair as it is")
    parser.add_argument("--broken", type=Path, help="a training run of Lite0 to break and repair")
    parser.add_argument("--photographs", type=Path, help="pictures of ImageNet's classes")
    parser.add_argument("--calibration", type=Path, help="pictures to calibrate Lite0 with")
    parser.add_argument("--quick", action="store_true", help="one break each; nothing is recorded")
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    options = parser.parse_args()
    if not (options.run or options.broken or options.photographs):
        parser.error("there is nothing to repair; give --run, --broken or --photographs")
    if (options.run or options.broken) and not options.data:
        parser.error("--run and --broken need the pictures of the runs: give --data")
    if options.photographs and not options.calibration:
        parser.error("--photographs needs --calibration")
    breaks = BREAKS[:1] if options.quick else BREAKS
    with tempfile.TemporaryDirectory() as cache:
        figures, rounds, notes = measure(options, breaks, Path(cache))
    settings = {
        "factor": FACTOR,
        "max_drop": BUDGET.max_drop,
        "max_slower": BUDGET.max_slower,
        "breaks": [f"{layer}, channel {channel}" for layer, channel in breaks],
        "data": [path.resolve().name for path in (options.data, options.photographs) if path],
    }
    harness.report(options, figures, settings=settings, rounds=rounds, notes=notes)


if __name__ == "__main__":
    main()
