"""Train on synthetic pictures, and print how long epochs took and the most memory there was.

    training_run.py MODEL PICTURES SIDE FINE_TUNING_STEPS

The run ends after so many steps of its second phase; 0 ends it after the first.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from mejiro.data.dataset import read_dataset
from mejiro.train import Settings, train
from mejiro.train.events import Events, StepReport
from mejiro.train.history import EpochRecord
from mejiro.train.plan import Plan, plan_phases
from mejiro_runtime.telemetry import peak_memory_bytes

CLASSES, VAL = 5, 0.02


class Enough(Exception):
    """End a run that has shown what it was to show."""


def write_pictures(folder: Path, count: int, side: int) -> None:
    """Write `count` pictures, all different, to a folder for each class."""
    rng = np.random.default_rng(0)
    for number in range(count):
        place = folder / f"class {number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(place / f"{number}.jpg"), picture)


def main(model: str, count: int, side: int, steps: int) -> None:
    epochs: list[float] = []
    left = [steps]

    def after_step(report: StepReport) -> None:
        if report.phase != "head":
            left[0] -= 1
            if left[0] <= 0:
                raise Enough

    def after_epoch(record: EpochRecord) -> None:
        epochs.append(record.seconds)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "pictures", count, side)
        dataset = read_dataset(str(folder / "pictures"), val=VAL)
        plan = Plan(head_epochs=5, epochs=1 if steps else 0)
        settings = Settings(model, plan_phases(plan, pretrained=True, augment=False))
        events = Events(step=after_step, epoch=after_epoch)
        try:
            train(dataset, settings, folder / "run", events=events)
        except Enough:
            pass
    # Not getrusage's, which begins with what the process that started this one had.
    peak = peak_memory_bytes()
    if peak is None:
        raise SystemExit("this system tells no peak of memory; measure on Linux")
    figures = {"pictures": count, "head_epochs_s": epochs, "peak_memory_gb": peak / 1e9}
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:]))
