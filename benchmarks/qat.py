"""Train MobileNetV3-Small for int8, and compare its file with one that was calibrated alone.

The network is trained from nothing at 128 x 128 on the pictures in --data, once for each seed,
with batch norms of a short memory (Keras's forget one step in a thousand, which a short training
never gets through). From there three files are made: calibrated; trained for int8, with the float
network for a teacher; and, as a control, calibrated after as much training in float. Of the
pictures 70% are trained on, half of the rest chooses weights, and the other half, which nothing
has seen, is scored, through the runtime. --floats keeps the float networks for another time.

    python benchmarks/qat.py --data DIR [--seeds N] [--epochs N] [--qat-epochs N] [--floats DIR]
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import harness
import numpy as np
from numpy.typing import NDArray

from mejiro.data.calibration import CalibrationSet, PictureFile
from mejiro.data.dataset import Dataset, read_dataset
from mejiro.data.folders import LabelledPicture
from mejiro.export import Exporter, export_with
from mejiro.export.recipe import Recipe
from mejiro.model import Artifact, FloatModel
from mejiro.quality.evaluate import evaluate
from mejiro.tensorflow import load_keras
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings, copied, finetune
from mejiro.train.network import open_network
from mejiro.train.pictures import Pictures, labelled_rows
from mejiro.train.qat import finetune_quantized, quantize_aware
from mejiro.train.settings import BatchNorm, Head, Phase, Settings
from mejiro.zoo import BuildOptions, load_float_model, save_float_model
from mejiro_runtime.card import Format, Precision, Scores

SIDE, HELD_BACK, CALIBRATION, COMPARED = 128, 0.3, 100, 400
MOMENTUM = 0.95
EPOCHS, RATE = 20, 2e-3
QAT_EPOCHS, QAT_RATE = 4, 1e-4
WAYS = ("float", "calibrated", "trained for int8", "trained on, calibrated")


@dataclass(frozen=True)
class Data:
    """Hold the pictures to learn from, those to calibrate with, and those to score on."""

    name: str
    pictures: Pictures
    calibration: CalibrationSet
    test: tuple[LabelledPicture, ...]
    rows: NDArray[np.uint8]


def read_data(folder: Path, model: FloatModel, cache: Path) -> Data:
    dataset = read_dataset(str(folder), val=HELD_BACK)
    # Alternate pictures of each class: to choose by, and to score on.
    chooses, scores = dataset.val[::2], dataset.val[1::2]
    pictures = labelled_rows(replace(dataset, val=chooses), model.input, cache)
    rows = labelled_rows(replace(dataset, val=scores[:COMPARED]), model.input, cache).val
    # From all over: they lie class by class.
    places = np.linspace(0, len(dataset.train) - 1, CALIBRATION).round().astype(int)
    used = tuple(PictureFile(dataset.train[place].path, str(place)) for place in places)
    test = tuple(LabelledPicture(one.path, one.label_index) for one in scores)
    return Data(dataset.name, pictures, CalibrationSet(dataset.name, used, ""), test, rows)


def fresh(folder: Path, seed: int) -> FloatModel:
    dataset: Dataset = read_dataset(str(folder), val=HELD_BACK)
    settings = Settings(
        model="mobilenet-v3-small",
        phases=(Phase("training", 1, RATE),),
        weights="none",
        build=BuildOptions(image_size=SIDE, seed=seed),
        head=Head(dropout=0.2),
        seed=seed,
    )
    network = open_network(settings, len(dataset.labels))
    for layer in network.whole.layers:
        if isinstance(layer, load_keras().layers.BatchNormalization):
            layer.momentum = MOMENTUM
    return FloatModel(
        network.name, network.whole, network.input, dataset.labels, Scores.PROBABILITIES
    )


def write(model: FloatModel, data: Data, folder: Path, *, trained: bool = False) -> Artifact:
    """Write an int8 TFLite file: to the ranges that `model` was trained to, or calibrated."""
    recipe = None if trained else Recipe()
    exporter = Exporter(model, calibration=data.calibration, recipe=recipe)
    return export_with(exporter, format=Format.TFLITE, precision=Precision.INT8, out=folder)


def within_one_step(model: FloatModel, file: Artifact, rows: NDArray[np.uint8]) -> float:
    """Return the share of the file's logits that are at most a step from the training graph's."""
    from ai_edge_litert.interpreter import Interpreter

    aware = quantize_aware(model, file.path.read_bytes())
    graph = aware.graph
    place = graph.logits
    while not graph.values[place].quantized:
        place = graph.makers[place].inputs[0]
    value = graph.values[place]
    spec = model.input
    values = rows * np.array(spec.scale, np.float32) + np.array(spec.offset, np.float32)
    expected = np.asarray(aware.layer.tensors(values)[place]) / value.scale
    interpreter = Interpreter(str(file.path), experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    names = {one["name"]: one["index"] for one in interpreter.get_tensor_details()}
    found = []
    for row in rows:
        interpreter.set_tensor(entry, row[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(names[value.name])[0].astype(float) - value.zero_point)
    return float((np.abs(np.stack(found) - expected) <= 1.01).mean())


def measure(options: argparse.Namespace, seed: int, folder: Path) -> dict[str, float]:
    """Return the top-1 of each way, in percent, and how near file and training graph are."""
    events = Events(epoch=lambda one: print(f"  epoch {one.epoch}: {one.val_accuracy:.1%}"))
    kept = (options.floats or folder) / f"float-{seed}"
    model = load_float_model(kept) if kept.is_dir() else fresh(options.data, seed)
    data = read_data(options.data, model, folder / "pixels")
    if not kept.is_dir():
        training = FinetuneSettings(
            options.epochs, RATE, batch_norm=BatchNorm.TRAINED, keep_from=0.5, seed=seed
        )
        model = finetune(model, data.pictures, training, events=events)
        save_float_model(model, kept)
    further = FinetuneSettings(options.qat_epochs, QAT_RATE, seed=seed)
    quantized = finetune_quantized(
        copied(model), data.pictures, further, teacher=model, events=events
    )
    control = finetune(copied(model), data.pictures, further, teacher=model, events=events)
    files = [
        write(model, data, folder / "calibrated"),
        write(quantized, data, folder / "trained", trained=True),
        write(control, data, folder / "control"),
    ]
    found = evaluate([model, *files], data.test, data=data.name)
    scores = {way: 100 * one.top1 for way, one in zip(WAYS, found, strict=True)}
    scores["logits within one step"] = 100 * within_one_step(quantized, files[1], data.rows)
    scores["test pictures"] = found[0].pictures
    print(f"seed {seed}: {scores}", flush=True)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="pictures in folders by class")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--qat-epochs", type=int, default=QAT_EPOCHS)
    parser.add_argument("--floats", type=Path, help="a folder to keep the float networks in")
    parser.add_argument("--quick", action="store_true", help="one seed; nothing is recorded")
    parser.add_argument("--out", type=Path, help="the file that keeps what was measured")
    options = parser.parse_args()
    seeds = range(1 if options.quick else options.seeds)
    found: list[dict[str, float]] = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(options, seed, Path(folder)))
    rounds: dict[str, Any] = {way: {"top1": [scores[way] for scores in found]} for way in WAYS}
    gains = [one[WAYS[2]] - one[WAYS[1]] for one in found]
    control = [one[WAYS[2]] - one[WAYS[3]] for one in found]
    near = [one["logits within one step"] for one in found]
    figures = [
        spread("trained for int8 over calibrated, points", gains, 0.0),
        spread("trained for int8 over trained on, points", control, None),
        spread("logits within one step, percent", near, 99.0),
    ]
    settings = {
        "data": options.data.resolve().name,
        "model": "mobilenet-v3-small",
        "image_size": SIDE,
        "epochs": options.epochs,
        "rate": RATE,
        "qat_epochs": options.qat_epochs,
        "qat_rate": QAT_RATE,
        "seeds": len(found),
        "test_pictures": int(found[0]["test pictures"]),
    }
    harness.report(options, figures, settings=settings, rounds=rounds)


def spread(name: str, values: list[float], limit: float | None) -> harness.Ratio:
    """Return the mean over seeds, with the least and the greatest in place of an interval."""
    mean = float(np.mean(values))
    return harness.Ratio(name, mean, min(values), max(values), limit, lower_is_better=False)


if __name__ == "__main__":
    main()
