"""Draw how much of EfficientNet-Lite0's accuracy is left after channel pruning without labels.

The pictures of an ImageNet sample (one of each of 200 classes) are cut into two halves, every
other class in each. Each half is scored on networks that were pruned with 200 pictures without
labels: the other half, and as many of other folders (--more, given again for each folder); the
figures are the means of the two. No class that is scored is therefore among the ImageNet pictures
that the pruning saw, which makes its task harder than that of a user with pictures of the
model's own classes.

    python benchmarks/pruning.py --data FOLDER --more FOLDER [--more FOLDER] [--quick]
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray

from mejiro.data.calibration import calibration_from_folder
from mejiro.data.folders import labelled_pictures
from mejiro.model import FloatModel
from mejiro.prune.channels import ChannelOptions, ChannelPruner, Target
from mejiro.prune.distill import Distillation
from mejiro.zoo import build
from mejiro_runtime.files import write_json
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import PixelOrder

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "results" / "pruning.json"
MODEL = "efficientnet-lite0"
CALIBRATION = 200
SAVED = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
# Points of top-1 that may be lost where so much is saved.
LIMITS = {0.1: 4.0, 0.25: 12.0}
BATCH = 20
DISTILLATION = Distillation(steps=120)
PLAIN, SOLVED, DISTILLED = "cut", "least squares", "distilled"

Tensors = NDArray[np.float32]
Fold = tuple[Tensors, Tensors, NDArray[np.int64]]


def folds(model: FloatModel, data: Path, more: Sequence[Path]) -> Iterator[Fold]:
    """Yield calibration pictures, scored pictures and their labels."""
    preprocessor = Preprocessor(model.input)
    pictures = labelled_pictures(data, model.labels)
    labels = np.array([picture.label_index for picture in pictures])
    tensors = np.concatenate(
        [preprocessor(read_picture(picture.path), PixelOrder.BGR) for picture in pictures]
    )
    ranks = np.searchsorted(np.unique(labels), labels)
    for half in (0, 1):
        scored = ranks % 2 == half
        room = CALIBRATION - int((~scored).sum())
        others = [
            tensor
            for folder in more
            for tensor in calibration_from_folder(folder, limit=room // len(more)).tensors(
                model.input
            )
        ]
        yield np.concatenate([tensors[~scored], *others]), tensors[scored], labels[scored]


def answers(model: FloatModel, tensors: Tensors) -> NDArray[np.int64]:
    """Return the first answer for each picture."""
    parts = [
        np.asarray(model.keras_model(tensors[start : start + BATCH], training=False))
        for start in range(0, len(tensors), BATCH)
    ]
    best: NDArray[np.int64] = np.argmax(np.concatenate(parts), axis=1)
    return best


def ways(quick: bool) -> dict[str, ChannelOptions]:
    """Return the ways that are compared, by name."""
    compared = {PLAIN: ChannelOptions(reconstruct=False), SOLVED: ChannelOptions()}
    if not quick:
        compared[DISTILLED] = ChannelOptions(distillation=DISTILLATION)
    return compared


def measure(
    model: FloatModel, fold: Fold, saved: Sequence[float], quick: bool
) -> list[dict[str, Any]]:
    """Return one row for each way and share saved."""
    calibration, scored, labels = fold
    whole = answers(model, scored)
    rows = [_row("whole", 0.0, 0.0, whole, whole, labels)]
    start = time.perf_counter()
    pruner = ChannelPruner(model, calibration, progress=_show)
    print(f"  sensitivities after {time.perf_counter() - start:.0f} s", flush=True)
    for share in saved:
        for name, options in ways(quick).items():
            pruner.options = options
            pruned, record = pruner.prune(Target(1 - share))
            reached = 1 - record.after.multiply_adds / record.before.multiply_adds
            rows.append(_row(name, share, reached, answers(pruned, scored), whole, labels))
            rows[-1]["kept"] = {n: [g.kept, g.channels] for n, g in record.groups.items()}
            print(" ", {key: rows[-1][key] for key in ("way", "saved", "top1", "agreement")})
            sys.stdout.flush()
    return rows


def _show(stage: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r  {stage} {done} of {total}   ")


def _row(
    way: str,
    asked: float,
    reached: float,
    given: NDArray[np.int64],
    whole: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> dict[str, Any]:
    return {
        "way": way,
        "asked": asked,
        "saved": round(reached, 4),
        "top1": float((given == labels).mean()),
        "agreement": float((given == whole).mean()),
        "pictures": len(labels),
    }


def curve(rows: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the means over the folds, with the points of top-1 lost."""
    merged = []
    for same in zip(*rows, strict=True):
        mean = {key: float(np.mean([row[key] for row in same])) for key in ("saved", "top1")}
        mean["agreement"] = float(np.mean([row["agreement"] for row in same]))
        whole = float(np.mean([fold[0]["top1"] for fold in rows]))
        lost = 100 * (whole - mean["top1"])
        row = {"way": same[0]["way"], "asked": same[0]["asked"], **mean, "lost": round(lost, 2)}
        limit = LIMITS.get(row["asked"])
        if limit is not None:
            row.update(limit=limit, reached=lost <= limit)
        merged.append(row)
    return merged


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folders of classes, labelled")
    parser.add_argument("--more", type=Path, action="append", required=True)
    parser.add_argument("--quick", action="store_true", help="no distillation, no record")
    parser.add_argument("--saved", type=float, action="append", help="may be given again")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = build(MODEL)
    rows = []
    for number, fold in enumerate(folds(model, arguments.data, arguments.more), start=1):
        print(f"fold {number}: {len(fold[0])} to calibrate, {len(fold[1])} to score", flush=True)
        rows.append(measure(model, fold, arguments.saved or SAVED, arguments.quick))
    merged = curve(rows)
    print(f"{'way':14} {'saved':>7} {'top-1':>7} {'lost':>6} {'same':>7}")
    for row in merged:
        print(
            f"{row['way']:14} {row['saved']:7.1%} {row['top1']:7.1%} {row['lost']:6.1f} "
            f"{row['agreement']:7.1%}"
        )
    out = arguments.out or (None if arguments.quick else RESULT)
    if out is None:
        return
    write_json(
        out,
        {
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "machine": machine.describe(),
            "model": MODEL,
            "calibration": CALIBRATION,
            "more": [folder.name for folder in arguments.more],
            "distillation_steps": DISTILLATION.steps,
            "curve": merged,
            "folds": rows,
        },
    )
    print(f"written: {out}")


if __name__ == "__main__":
    main()
