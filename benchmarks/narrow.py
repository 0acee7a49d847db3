"""Prune the channels of a fine-tuned network with its labels: what int8 loses, how much it gains.

The network is that of a run of `mejiro train` (--run) on the pictures in --data. It is cut in
steps and trained in between, with the labels and the uncut network for a teacher. Both networks
are converted to int8 alike, scored through the runtime on the run's validation pictures, and timed
in turns. With --control the uncut network is trained on for as long, to tell what pruning costs
from what training gives.

    python benchmarks/narrow.py --data DIR --run DIR [--macs SHARE] [--control] [--out FILE]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import harness
import numpy as np
from magnitude import talking, top1, trained_on

from mejiro.model import Artifact
from mejiro.prune.options import Target
from mejiro.prune.stepwise import Recovery, prune_channels
from mejiro.quality.gains import PRUNED, WHOLE, measure_gains
from mejiro.quality.lessons import read_calibration, read_lessons
from mejiro.train.finetune import FinetuneSettings
from mejiro.zoo import open_model

MACS, EPOCHS, RATE, ROUNDS, LOOKED_AT = 0.42, 16, 1e-3, 80, 200
MOST_LOST, LEAST_FASTER = 1.0, 1.6


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="pictures in folders by class")
    parser.add_argument("--run", type=Path, required=True, help="a run of `mejiro train` on them")
    parser.add_argument("--macs", type=float, default=MACS, help="share of multiply-adds to keep")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--control", action="store_true", help="train the uncut one as long")
    parser.add_argument("--quick", action="store_true", help="3 epochs; nothing is recorded")
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    return parser.parse_args()


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = open_model(str(options.run))
        pictures = read_lessons(
            model, str(options.run), options.data, folder / "pixels", events=talking()
        )
        if pictures is None:
            raise SystemExit(f"{options.data} holds no pictures")
        training = FinetuneSettings(
            epochs=3 if options.quick else options.epochs, rate=options.rate
        )
        calibration = read_calibration(str(options.run), None, limit=LOOKED_AT)
        seen = np.concatenate(list(calibration.tensors(model.input)))
        pruned, record = prune_channels(
            model,
            Target(options.macs),
            seen,
            recovery=Recovery(pictures, training),
            events=talking(),
        )
        gains = measure_gains(
            model, pruned, folder, calibration=calibration, rounds=8 if options.quick else ROUNDS
        )
        file = f"{model.name}-int8.tflite"
        files = [Artifact.open(folder / which / file) for which in (WHOLE, PRUNED)]
        if options.control:
            files.append(trained_on(model, pictures, training, options.run, folder))
        scores = top1(options.run, options.data, files, model)
        whole, narrow, *control = scores["top1"]
        time = gains["int8"].time
        if time is None:
            raise SystemExit("nothing was timed")
        lost = whole - narrow
        figures = [
            harness.Ratio("int8: points of top-1 lost", lost, lost, lost, MOST_LOST),
            harness.Ratio(
                "int8: times as fast, frame to label",
                1 / time.median, 1 / time.high, 1 / time.low, LEAST_FASTER, lower_is_better=False,
            ),
        ]  # fmt: skip
        if control:
            further = control[0] - narrow
            text = "int8: points lost to the uncut one trained on"
            figures.append(harness.Ratio(text, further, further, further))
        harness.report(
            options,
            figures,
            settings={
                "data": options.data.resolve().name,
                "model": model.name,
                "image_size": model.input.height,
                "macs": options.macs,
                "epochs": training.epochs,
                "rate": training.rate,
                "validation_pictures": scores["pictures"],
                "pruning": record.to_json(),
                "files": {which: gain.to_json() for which, gain in gains.items()},
            },
            rounds={"int8 top-1": {which: [value] for which, value in zip(
                (WHOLE, PRUNED, "whole, trained on"), scores["top1"], strict=False
            )}},
        )  # fmt: skip


if __name__ == "__main__":
    main()
