"""Prune a fine-tuned Lite0 by magnitude to 80% zeros: what is lost, what zips, what runs faster.

The network is that of a run of `mejiro train` on the pictures in --data, at 128 x 128, which is
made first unless --run names one. Both networks are exported and scored on the run's validation
pictures, through the runtime; the files are timed in turns. With --control the dense network is
trained on for as long, with the same teacher, to tell what pruning costs from what training gives.

    python benchmarks/magnitude.py --data DIR [--run DIR] [--epochs N] [--control] [--out FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness

from mejiro.export import export
from mejiro.model import Artifact, FloatModel
from mejiro.prune.magnitude import MagnitudeSettings, Scope, thin
from mejiro.quality.evaluate import evaluate
from mejiro.quality.gains import PRUNED, WHOLE, FileGain, measure_gains
from mejiro.quality.lessons import read_calibration, read_lessons
from mejiro.quality.run_scores import select_validation
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings, copied, finetune
from mejiro.train.pictures import Pictures
from mejiro.train.settings import BatchNorm
from mejiro.zoo import open_model
from mejiro_runtime.card import Format, Precision

SPARSITY, SIDE = 0.8, 128
MOST_LOST, MOST_ZIPPED = 1.0, 0.45
EPOCHS, RATE, ROUNDS = 24, 1e-3, 40


def train_run(data: Path, out: Path) -> Path:
    """Make the run that is pruned, as a user would."""
    command = [str(harness.script("mejiro")), "train", str(data), "--model", "efficientnet-lite0"]
    command += ["--image-size", str(SIDE), "--val", "0.2", "--head-epochs", "20", "--epochs", "5"]
    subprocess.run([*command, "--out", str(out)], check=True)
    return out


def top1(run: Path, data: Path, files: list[Artifact], model: FloatModel) -> dict[str, Any]:
    """Return what the files score on the run's validation pictures, in percent."""
    chosen = select_validation(run, data, model.labels)
    found = evaluate(files, chosen.pictures, data=chosen.data)
    return {
        "pictures": found[0].pictures,
        "validation": chosen.validation,
        "top1": [100 * one.top1 for one in found],
    }


def trained_on(
    model: FloatModel, pictures: Pictures, training: FinetuneSettings, run: Path, folder: Path
) -> Artifact:
    """Return the int8 file of the dense network after as much training as the thinned one had."""
    settings = replace(training, keep_from=MagnitudeSettings().end)
    control = finetune(copied(model), pictures, settings, teacher=model, events=talking())
    return export(
        control,
        format=Format.TFLITE,
        precision=Precision.INT8,
        out=folder / "control",
        calibration=read_calibration(str(run), None),
    )


def talking() -> Events:
    return Events(
        stage=lambda text: print(f"  {text}", flush=True),
        epoch=lambda one: print(f"  epoch {one.epoch}: {one.val_accuracy:.1%}", flush=True),
    )


def point(name: str, value: float, limit: float | None = None) -> harness.Ratio:
    """Return a figure that is what it is each time."""
    return harness.Ratio(name, value, value, value, limit)


def figures(scores: dict[str, Any], gains: dict[str, FileGain]) -> list[harness.Ratio]:
    dense, thinned, *control = scores["top1"]
    ratios = [
        point("int8 top-1 lost, points", dense - thinned, MOST_LOST),
        point("int8 zipped over dense zipped", gains["int8"].zip_ratio, MOST_ZIPPED),
    ]
    if control:
        ratios.append(point("int8 top-1 lost to a dense one trained on", control[0] - thinned))
    for name, gain in gains.items():
        if gain.time is not None:
            one = gain.time
            ratios.append(
                harness.Ratio(f"{name}: time over dense time", one.median, one.low, one.high)
            )
    return ratios


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="pictures in folders by class")
    parser.add_argument("--run", type=Path, help="a run of `mejiro train` on them")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--scope", choices=[scope.value for scope in Scope], default="global")
    parser.add_argument("--batch-norm", choices=[b.value for b in BatchNorm], default="trained")
    parser.add_argument("--control", action="store_true", help="train the dense one as long")
    parser.add_argument("--quick", action="store_true", help="one epoch; nothing is recorded")
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    return parser.parse_args()


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = options.run or train_run(options.data, folder / "run")
        model = open_model(str(run))
        pictures = read_lessons(model, str(run), options.data, folder / "pixels", events=talking())
        if pictures is None:
            raise SystemExit(f"{options.data} holds no pictures")
        training = FinetuneSettings(
            epochs=1 if options.quick else options.epochs,
            rate=options.rate,
            batch_norm=BatchNorm(options.batch_norm),
        )
        settings = MagnitudeSettings(SPARSITY, scope=Scope(options.scope))
        thinned = thin(model, settings, pictures=pictures, training=training, events=talking())
        gains = measure_gains(
            model,
            thinned.model,
            folder,
            calibration=read_calibration(str(run), None),
            sparse=True,
            rounds=5 if options.quick else ROUNDS,
        )
        file = f"{model.name}-int8.tflite"
        files = [Artifact.open(folder / which / file) for which in (WHOLE, PRUNED)]
        if options.control:
            files.append(trained_on(model, pictures, training, run, folder))
        scores = top1(run, options.data, files, model)
        harness.report(
            options,
            figures(scores, gains),
            settings={
                "data": options.data.resolve().name,
                "image_size": model.input.height,
                "epochs": training.epochs,
                "rate": training.rate,
                "batch_norm": training.batch_norm.value,
                **settings.to_json(),
                "sparsity_of_all_kernels": round(thinned.overall, 4),
                "validation_pictures": scores["pictures"],
                "files": {name: gain.to_json() for name, gain in gains.items()},
            },
            rounds={"int8 top-1": {which: [value] for which, value in zip(
                ("dense", "thinned", "dense trained on"), scores["top1"], strict=False
            )}},
        )  # fmt: skip


if __name__ == "__main__":
    main()
