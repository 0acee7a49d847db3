"""Compare training steps with a bare `keras.Model.fit`; time a cached epoch; measure memory.

Both sides train the same network on the same pictures with the same optimizer, in one process,
by turns. The bare side has its tensors ready: float32 in memory, scaled. Mejiro's has what it
always has: a file of uint8 pixels. Once with batch normalization frozen, as `mejiro train` does
unless told otherwise, and once with all layers trained.

The other two figures come from whole runs, in processes of their own: an epoch of a new head on
3,000 pictures, once their features are cached, and the peak of resident memory (which counts
the pages of the pixel file that happen to be mapped) on 10,000 pictures of 224 x 224.

    python benchmarks/training.py [--quick] [--out FILE]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
import numpy as np
from numpy.typing import NDArray

from mejiro.tensorflow import load_keras, load_tensorflow
from mejiro.train.batches import batches, epoch_order, take
from mejiro.train.folding import folded
from mejiro.train.freezing import frozen
from mejiro.train.losses import make_loss
from mejiro.train.network import Network, open_network
from mejiro.train.optimizers import make_optimizer
from mejiro.train.settings import Balance, Loss, Optimizer, Phase, Settings
from mejiro.train.steps import Inputs, TrainStep

MODEL, CLASSES, SIDE, BATCH, STEPS = "efficientnet-lite0", 5, 224, 32, 4
RATE, SMOOTHING = 1e-4, 0.1
ROUNDS, QUICK_ROUNDS = 9, 2
EPOCH_PICTURES, EPOCH_LIMIT_S = 3_000, 1.0
MEMORY_PICTURES, MEMORY_LIMIT_GB = 10_000, 4.0
QUICK_PICTURES = 200
PROGRAM = harness.FOLDER / "programs" / "training_run.py"

Epoch = Callable[[], dict[str, float]]


def open_lite0() -> Network:
    return open_network(Settings(MODEL, (Phase("all", 1, RATE),)), CLASSES)


def bare_epoch(
    pixels: NDArray[np.uint8], truth: NDArray[np.int32], *, batch_norm_frozen: bool
) -> Epoch:
    """Return an epoch of `keras.Model.fit` over float32 tensors."""
    keras = load_keras()
    network = open_lite0()
    spec = network.input
    values = (pixels * np.float32(spec.scale[0]) + np.float32(spec.offset[0])).astype(np.float32)
    labels = np.eye(CLASSES, dtype=np.float32)[truth]
    if batch_norm_frozen:
        for layer in network.whole.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    network.whole.compile(
        keras.optimizers.AdamW(RATE, weight_decay=1e-4),
        keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING),
        metrics=["accuracy"],
    )

    def epoch() -> dict[str, float]:
        start = time.perf_counter()
        network.whole.fit(values, labels, batch_size=BATCH, epochs=1, verbose=0)
        return {"step_s": (time.perf_counter() - start) / STEPS}

    epoch()
    return epoch


def mejiro_epoch(
    rows: NDArray[np.uint8], truth: NDArray[np.int32], *, batch_norm_frozen: bool
) -> Epoch:
    """Return an epoch as `mejiro train` runs it, from a memory map of uint8 pixels."""
    network = open_lite0()
    with frozen(network.backbone, 0, batch_norm=batch_norm_frozen):
        variables = network.logits.trainable_variables
        optimizer = make_optimizer(Optimizer(), RATE, variables, [1.0] * len(variables), 1000)
        losses = make_loss(Loss(label_smoothing=SMOOTHING), np.ones(CLASSES, np.float32))
        strategy = load_tensorflow().distribute.get_strategy()
        with folded(network.backbone):
            step = TrainStep(network.logits, optimizer, losses, Inputs(network.input), strategy)
    number = [0]

    def epoch() -> dict[str, float]:
        start = time.perf_counter()
        order = epoch_order(truth, seed=0, phase=0, epoch=number[0], balance=Balance.NONE)
        for places in batches(order, BATCH):
            step(take(rows, places), truth[places], RATE)
        number[0] += 1
        return {"step_s": (time.perf_counter() - start) / STEPS}

    epoch()
    return epoch


def compare_steps(folder: Path, rounds: int) -> harness.Rounds:
    """Return the seconds of a training step, by way."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (STEPS * BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    truth = rng.integers(0, CLASSES, len(pixels)).astype(np.int32)
    np.save(folder / "pixels.npy", pixels)
    rows = np.load(folder / "pixels.npy", mmap_mode="r")
    ways = {}
    for name, held in (("frozen", True), ("trained", False)):
        ways[f"bare, batch norm {name}"] = bare_epoch(pixels, truth, batch_norm_frozen=held)
        ways[f"mejiro, batch norm {name}"] = mejiro_epoch(rows, truth, batch_norm_frozen=held)
    return harness.take_turns(ways, rounds)


def whole_run(pictures: int, *, fine_tuning_steps: int) -> dict[str, Any]:
    """Train in a process of its own on synthetic pictures; return what it measured."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), MODEL, str(pictures), str(SIDE), str(fine_tuning_steps)],
        check=True,
        stdout=subprocess.PIPE,
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def ratios_of(
    steps: harness.Rounds, cached: dict[str, Any], large: dict[str, Any]
) -> list[harness.Ratio]:
    ratios = [
        harness.ratio(
            f"training step, mejiro / bare, batch norm {name}",
            steps[f"mejiro, batch norm {name}"]["step_s"],
            steps[f"bare, batch norm {name}"]["step_s"],
            limit=1.10,
        )
        for name in ("frozen", "trained")
    ]
    seconds = cached["head_epochs_s"]
    ratios.append(
        harness.ratio(
            f"cached epoch of {cached['pictures']} pictures / {EPOCH_LIMIT_S:g} s",
            seconds,
            [EPOCH_LIMIT_S] * len(seconds),
            limit=1.0,
        )
    )
    ratios.append(
        harness.ratio(
            f"peak memory on {large['pictures']} pictures / {MEMORY_LIMIT_GB:g} GB",
            [large["peak_memory_gb"]],
            [MEMORY_LIMIT_GB],
            limit=1.0,
        )
    )
    return ratios


def main() -> None:
    options = harness.parse_arguments(__doc__)
    with tempfile.TemporaryDirectory() as name:
        steps = compare_steps(Path(name), QUICK_ROUNDS if options.quick else ROUNDS)
    few = QUICK_PICTURES if options.quick else 0
    cached = whole_run(few or EPOCH_PICTURES, fine_tuning_steps=0)
    large = whole_run(few or MEMORY_PICTURES, fine_tuning_steps=20)
    harness.report(
        options,
        ratios_of(steps, cached, large),
        settings={"model": MODEL, "side": SIDE, "batch": BATCH, "steps_each_round": STEPS},
        rounds={
            **steps,
            "cached epoch": {"seconds": cached["head_epochs_s"]},
            "10,000 pictures": {"peak_memory_gb": [large["peak_memory_gb"]]},
        },
    )


if __name__ == "__main__":
    main()
