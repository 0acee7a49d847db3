"""Measure the float accuracy of the zoo's pretrained models on ImageNet pictures.

Each model answers twice: with its publisher's own preprocessing, and with the one that Mejiro
uses everywhere. The publisher's is `_decode_and_center_crop` of EfficientNet's
preprocessing.py (github.com/tensorflow/tpu): the central square of size/(size+32) of the shorter
side, resized with TensorFlow's bicubic interpolation. Accuracy on a small sample, all the more
one drawn from the training split, says whether a port is right, not how good a model is.

    python benchmarks/zoo_accuracy.py [--data FOLDER_OR_ZIP] [--model NAME ...]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray

from mejiro.data.folders import LabelledPicture, labelled_pictures
from mejiro.model import FloatModel
from mejiro.tensorflow import load_tensorflow
from mejiro.zoo import build, find_model
from mejiro_runtime.files import write_json
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import PixelOrder

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = Path(os.environ.get("MEJIRO_SHARED") or ROOT.parent / "shared") / "data"
RESULT = ROOT / "benchmarks" / "results" / "zoo_accuracy.json"
MODELS = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
BATCH = 20

Prepare = Callable[[NDArray[np.uint8]], NDArray[Any]]


@contextlib.contextmanager
def pictures_folder(data: Path) -> Iterator[Path]:
    """Give the folder of class folders that `data` is, or that it packs."""
    if data.is_dir():
        yield data
        return
    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(data) as archive:
            archive.extractall(name)
        # The archive may hold the class folders, or one folder with them in it.
        inner = sorted(path for path in Path(name).iterdir() if path.is_dir())
        yield inner[0] if len(inner) == 1 else Path(name)


def publishers(model: FloatModel) -> Prepare:
    """Return the publisher's preprocessing, from BGR pixels to one float32 tensor."""
    tensorflow = load_tensorflow()
    size, spec = model.input.height, model.input

    def prepare(pixels: NDArray[np.uint8]) -> NDArray[Any]:
        height, width = pixels.shape[:2]
        side = int(size / (size + 32) * min(height, width))
        top, left = (height - side + 1) // 2, (width - side + 1) // 2
        crop = pixels[top : top + side, left : left + side, ::-1].astype(np.float32)
        resized = tensorflow.raw_ops.ResizeBicubic(images=crop[None], size=[size, size]).numpy()
        made: NDArray[Any] = resized * np.float32(spec.scale[0]) + np.float32(spec.offset[0])
        return made

    return prepare


def ours(model: FloatModel) -> Prepare:
    """Return Mejiro's preprocessing, from BGR pixels to one float32 tensor."""
    preprocessor = Preprocessor(model.input)
    return lambda pixels: preprocessor(pixels, PixelOrder.BGR)


def score(
    model: FloatModel, pictures: Sequence[LabelledPicture], prepare: Prepare
) -> dict[str, float]:
    """Return the shares of pictures whose class is the first answer, and among the first five."""
    first = five = 0
    for start in range(0, len(pictures), BATCH):
        some = pictures[start : start + BATCH]
        batch = np.concatenate([prepare(read_picture(picture.path)) for picture in some])
        answers = np.argsort(-model.keras_model.predict_on_batch(batch), axis=1)[:, :5]
        wanted = np.array([picture.label_index for picture in some])[:, None]
        first += int((answers[:, :1] == wanted).sum())
        five += int((answers == wanted).any(axis=1).sum())
    return {"top1": first / len(pictures), "top5": five / len(pictures)}


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Return what one model scores on the class folders in `folder`."""
    model = build(name)
    pictures = labelled_pictures(folder, model.labels)
    return {
        "model": name,
        "pictures": len(pictures),
        "image_size": model.input.height,
        "publisher_preprocessing": score(model, pictures, publishers(model)),
        "mejiro_preprocessing": score(model, pictures, ours(model)),
        "published_top1": model.lineage["weights"]["published_top1"],
        "weights": model.lineage["weights"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=SAMPLE / "imagenet-sample.zip")
    parser.add_argument("--model", action="append", help="may be given again; default: Lite0-2")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if not arguments.data.exists():
        print(f"{arguments.data} is absent: nothing measured; give pictures with --data")
        return
    names = [find_model(name).name for name in arguments.model or MODELS]
    print(f"{'model':20} {'pictures':>8} {'publisher':>10} {'mejiro':>8}   top-1 (top-5)")
    rows = []
    with pictures_folder(arguments.data) as folder:
        for name in names:
            row = measure(name, folder)
            rows.append(row)
            theirs, mine = row["publisher_preprocessing"], row["mejiro_preprocessing"]
            print(
                f"{name:20} {row['pictures']:8} {theirs['top1']:10.1%} {mine['top1']:8.1%}   "
                f"({theirs['top5']:.1%}, {mine['top5']:.1%})"
            )
    write_json(
        arguments.out,
        {"data": arguments.data.name, "machine": machine.describe(), "models": rows},
    )


if __name__ == "__main__":
    main()
