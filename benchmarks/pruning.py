"""Draw how much of EfficientNet-Lite0's accuracy is left after channel pruning without labels.

The pictures of an ImageNet sample (one of each of 200 classes) are cut into two halves, every
other class in each. Each half is scored on networks that were pruned with 200 pictures without
labels: the other half, and as many of other folders (--more, given again for each folder). No
class that is scored is therefore among the ImageNet pictures that the pruning saw, which makes
its task harder than that of a user with pictures of the model's own classes. Scores are Keras's.

    python benchmarks/pruning.py --data FOLDER --more FOLDER [--more FOLDER] [--picture FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import numpy as np
from numpy.typing import NDArray

from mejiro.data.calibration import calibration_from_folder
from mejiro.data.folders import labelled_pictures
from mejiro.data.pixels import pixels_only
from mejiro.model import FloatModel
from mejiro.prune.channels import ChannelPruner
from mejiro.prune.options import ChannelOptions, Target
from mejiro.train.distillation import Distillation
from mejiro.train.finetune import FinetuneSettings, finetune
from mejiro.train.pictures import HELD_BACK, Pictures
from mejiro.zoo import build
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import PixelOrder

MODEL = "efficientnet-lite0"
CALIBRATION = 200
SAVED = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
# Points of top-1 that may be lost where so much is saved.
LIMITS = {0.1: 4.0, 0.25: 12.0}
DISTILLED_AT = (0.25, 0.5)
BATCH = 20
PLAIN, SOLVED, DISTILLED = "cut alone", "least squares", "least squares, then distilled"
TRAINING = FinetuneSettings(
    epochs=12, rate=1e-4, batch_size=16, distillation=Distillation(share=1.0, temperature=2.0)
)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Fold:
    """Hold pixels to prune with, pixels to score on (N, H, W, 3), and the labels of those (N,)."""

    calibration: Pixels
    scored: Pixels
    labels: NDArray[np.int64]


def folds(model: FloatModel, data: Path, more: Sequence[Path]) -> Iterator[Fold]:
    """Yield the two halves of `data`, each scored once."""
    spec = pixels_only(model.input)
    preprocessor = Preprocessor(spec)
    pictures = labelled_pictures(data, model.labels)
    labels = np.array([picture.label_index for picture in pictures])
    pixels = np.concatenate(
        [preprocessor(read_picture(picture.path), PixelOrder.BGR) for picture in pictures]
    )
    ranks = np.searchsorted(np.unique(labels), labels)
    for half in (0, 1):
        scored = ranks % 2 == half
        room = CALIBRATION - int((~scored).sum())
        others = [
            rows
            for folder in more
            for rows in calibration_from_folder(folder, limit=room // len(more)).tensors(spec)
        ]
        calibration = np.concatenate([pixels[~scored], *others])
        yield Fold(calibration, pixels[scored], labels[scored])


def tensors(model: FloatModel, pixels: Pixels) -> NDArray[np.float32]:
    """Return pixels as the model's input."""
    spec = model.input
    scale, offset = (np.array(ends, np.float32) for ends in (spec.scale, spec.offset))
    return pixels.astype(np.float32) * scale + offset


def top1(model: FloatModel, fold: Fold) -> float:
    """Return the percentage of right answers."""
    right = 0
    for start in range(0, len(fold.scored), BATCH):
        given = model.keras_model(
            tensors(model, fold.scored[start : start + BATCH]), training=False
        )
        best = np.argmax(np.asarray(given), axis=1)
        right += int((best == fold.labels[start : start + BATCH]).sum())
    return 100 * right / len(fold.scored)


def distilled(model: FloatModel, whole: FloatModel, fold: Fold) -> FloatModel:
    """Return a cut model, trained on its calibration pictures to answer as the whole one does."""
    order = np.random.default_rng(0).permutation(len(fold.calibration))
    held = round(HELD_BACK * len(order))
    pictures = Pictures(
        "calibration", fold.calibration[order[held:]], fold.calibration[order[:held]]
    )
    return finetune(model, pictures, TRAINING, teacher=whole)


def measure(model: FloatModel, fold: Fold, shares: Sequence[float]) -> dict[str, Any]:
    """Return, for each way and share to save, the share that was saved and the top-1."""
    found: dict[str, Any] = {"whole": {"0": {"top1": top1(model, fold), "saved": 0.0}}}
    start = time.perf_counter()
    pruner = ChannelPruner(model, tensors(model, fold.calibration))
    print(f"  sensitivities of {len(pruner.sensitivities)} groups in "
          f"{time.perf_counter() - start:.0f} s", flush=True)  # fmt: skip
    for share in shares:
        widths, _ = pruner.plan(Target(1 - share))
        for way, reconstruct in ((PLAIN, False), (SOLVED, True)):
            pruner.options = ChannelOptions(reconstruct=reconstruct)
            cut = pruner.cut(widths)
            models = {way: cut.model}
            if reconstruct and share in DISTILLED_AT:
                # The training changes the cut model itself, which is scored before.
                models[DISTILLED] = cut.model
            for name in models:
                narrow = cut.model if name == way else distilled(cut.model, model, fold)
                saved = 100 * (1 - cut.cost.multiply_adds / pruner.cost.multiply_adds)
                row = {"top1": top1(narrow, fold), "saved": saved}
                found.setdefault(name, {})[f"{100 * share:g}"] = row
                print(f"  {name}, {share:.0%}: {row}", flush=True)
    return found


def gathered(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return way -> share -> figure -> its value in each fold."""
    return {
        way: {
            share: {key: [fold[way][share][key] for fold in results] for key in ("top1", "saved")}
            for share in shares
        }
        for way, shares in results[0].items()
    }


def lost(rounds: dict[str, Any], way: str, share: str) -> list[float]:
    """Return the points of top-1 lost in each fold."""
    whole = rounds["whole"]["0"]["top1"]
    return [one - other for one, other in zip(whole, rounds[way][share]["top1"], strict=True)]


def figures(rounds: dict[str, Any]) -> Iterator[harness.Ratio]:
    """Give the points lost of each way and share, with the least and most of the folds."""
    for way in (PLAIN, SOLVED, DISTILLED):
        for share in rounds.get(way, {}):
            points = lost(rounds, way, share)
            limit = LIMITS.get(float(share) / 100) if way == SOLVED else None
            name = f"points lost at {share}% fewer multiply-adds, {way}"
            yield harness.Ratio(name, float(np.mean(points)), min(points), max(points), limit)


def draw(rounds: dict[str, Any], path: Path) -> None:
    """Draw top-1 against the multiply-adds saved, the mean over folds, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    whole = float(np.mean(rounds["whole"]["0"]["top1"]))
    for way, colour, line in (
        (SOLVED, "#3f6b35", "o-"), (DISTILLED, "#b9812f", "s"), (PLAIN, "#a3492f", "o--"),
    ):  # fmt: skip
        if way not in rounds:
            continue
        rows = rounds[way].values()
        saved = [float(np.mean(row["saved"])) for row in rows]
        score = [float(np.mean(row["top1"])) for row in rows]
        if line != "s":
            saved, score = [0.0, *saved], [whole, *score]
        axes.plot(saved, score, line, color=colour, label=way)
    axes.axhline(whole, color="#999999", linewidth=0.8)
    axes.set(
        xlabel="multiply-adds saved, %", ylabel="top-1, %", ylim=(0, 100), xlim=(0, None),
        title="EfficientNet-Lite0, channels cut without labels",
    )  # fmt: skip
    axes.grid(axis="y", color="#dddddd")
    axes.legend(frameon=False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folders of classes, labelled")
    parser.add_argument("--more", type=Path, action="append", required=True)
    parser.add_argument("--quick", action="store_true", help="one share; nothing is recorded")
    parser.add_argument("--picture", type=Path, help="a PNG to draw the curve in")
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    options = parser.parse_args()
    model = build(MODEL)
    shares = SAVED[:1] if options.quick else SAVED
    results = []
    scored = 0
    for number, fold in enumerate(folds(model, options.data, options.more), start=1):
        scored += len(fold.scored)
        print(f"fold {number}: {len(fold.calibration)} to prune with, {len(fold.scored)} to score")
        results.append(measure(model, fold, shares))
    rounds = gathered(results)
    settings = {
        "model": MODEL,
        "data": options.data.resolve().name,
        "more": [folder.resolve().name for folder in options.more],
        "calibration_pictures": CALIBRATION,
        "scored_pictures": scored,
        "distillation_epochs": TRAINING.epochs,
    }
    harness.report(options, list(figures(rounds)), settings=settings, rounds=rounds)
    if options.picture is not None:
        draw(rounds, options.picture)
        print(f"drawn: {options.picture}")


if __name__ == "__main__":
    main()
