"""Adopt files that others made and published."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from mejiro.data.labels import read_labels
from mejiro.errors import DataError
from mejiro.export.adopt import Hints, Normalize, Other, adopt
from mejiro.zoo.labels import imagenet_labels
from mejiro_runtime.card import Precision, Task
from mejiro_runtime.errors import ModelError
from mejiro_runtime.heads import Head
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.postprocess.segmentation import at_frame_size
from mejiro_runtime.preprocess import ResizeMode
from mejiro_runtime.sources.pictures import read_picture
from mejiro_runtime.types import Frame, Label, PixelOrder

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"


def seen_in(model: Model, picture: Path) -> str:
    frame = Frame(read_picture(picture), PixelOrder.BGR, index=0, captured_ns=0, capture_ns=0)
    return model(frame).top[0].label.short


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_a_real_onnx_file_is_adopted_and_run(tmp_path: Path, name: str) -> None:
    """The weights are constants that the file makes when it is loaded, so it knows nothing."""
    path = LIGHT / f"light_{name}.onnx"
    hints = Hints(normalize=Normalize.IMAGENET)
    artifact = adopt(path, out=tmp_path, labels=imagenet_labels(), hints=hints)
    assert artifact.card.input.shape == (1, 3, 224, 224)
    assert artifact.card.lineage["adopted"]["opsets"] == {"ai.onnx": 9}
    with open_model(artifact.path, artifact.card, threads=1) as model:
        frame = Frame(np.full((300, 400, 3), 90, np.uint8), PixelOrder.RGB, 0, 0, 0)
        scores = model.scores(frame)
    assert scores.shape == (1000,)
    assert scores.sum() == pytest.approx(1, abs=1e-3)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["tf2_mobilenet_v2_1.0_224_ptq", "mobilenet_v1_0.25_128_quant"])
def test_real_tflite_files_see_what_is_there(
    shared_folder: Path, tmp_path: Path, name: str
) -> None:
    models = shared_folder / "models"
    path, labels = models / f"{name}.tflite", read_labels(models / "imagenet_labels.txt")
    artifact = adopt(path, out=tmp_path, labels=labels)
    card = artifact.card
    assert (card.precision, card.output.background, len(card.labels)) == (Precision.INT8, 0, 1001)
    assert (card.input.table()[:, 0] == np.arange(256)).all()
    # The file carries the same labels, and ImageNet's thousand fit behind the background.
    assert adopt(path, out=tmp_path).card.labels == labels
    thousand = adopt(path, out=tmp_path, labels=imagenet_labels()).card
    assert thousand.output.background == 0
    assert [label.name for label in thousand.labels[:2]] == ["background", labels[1].name]
    with open_model(artifact.path, card, threads=1) as model:
        assert (
            seen_in(model, models / "parrot.jpg"),
            seen_in(model, models / "cat.bmp"),
        ) == ("macaw", "Egyptian cat")


@pytest.mark.shared
def test_a_portrait_stretched_shows_its_uniform(shared_folder: Path, tmp_path: Path) -> None:
    """A square cut from the portrait's middle holds a hat and little of the uniform."""
    models = shared_folder / "models"
    path = models / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    artifact = adopt(path, out=tmp_path, hints=Hints(resize=ResizeMode.STRETCH))
    with open_model(artifact.path, artifact.card, threads=1) as model:
        seen = seen_in(model, models / "grace_hopper.bmp")
    assert seen == "military uniform"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("deeplabv3_mnv2_dm05_pascal_quant", "is a segmentation model"),
        ("traffic_model", "is an object detector"),
    ],
)
def test_real_files_of_other_tasks_are_named(
    shared_folder: Path, tmp_path: Path, name: str, said: str
) -> None:
    path = shared_folder / "models" / f"{name}.tflite"
    with pytest.raises(ModelError, match=f"{said}.*without --task only classifiers"):
        adopt(path, out=tmp_path / "out", labels=imagenet_labels())
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.shared
def test_mobilenet_v2_keeps_its_accuracy(shared_folder: Path, tmp_path: Path) -> None:
    models = shared_folder / "models"
    path = models / "tf2_mobilenet_v2_1.0_224_ptq.tflite"
    artifact = adopt(path, out=tmp_path, labels=imagenet_labels())
    classes = {label.synset: label.index for label in artifact.card.labels if label.synset}
    right = []
    with (
        zipfile.ZipFile(shared_folder / "data" / "imagenet-sample.zip") as archive,
        open_model(artifact.path, artifact.card) as model,
    ):
        for entry in archive.infolist():
            if not entry.filename.endswith(".JPEG"):
                continue
            picture = tmp_path / "picture.jpg"
            picture.write_bytes(archive.read(entry))
            frame = Frame(read_picture(picture), PixelOrder.BGR, 0, 0, 0)
            synset = Path(entry.filename).parent.name
            right.append(model(frame).top[0].label.index == classes[synset])
    assert len(right) == 200
    assert sum(right) / len(right) >= 0.87


PASCAL = [
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
]


def named(*names: str) -> tuple[Label, ...]:
    return tuple(Label(index, name) for index, name in enumerate(names))


def frame_of(path: Path, index: int = 0) -> Frame:
    return Frame(read_picture(path), PixelOrder.BGR, index, captured_ns=0, capture_ns=0)


@pytest.mark.shared
def test_a_real_segmentation_finds_the_bird(shared_folder: Path, tmp_path: Path) -> None:
    models = shared_folder / "models"
    path = models / "deeplabv3_mnv2_dm05_pascal_quant.tflite"
    artifact = adopt(path, out=tmp_path, labels=named(*PASCAL), other=Other(Task.SEGMENTATION))
    assert artifact.card.output.indices
    frame = frame_of(models / "bird_segmentation.bmp")
    with open_model(artifact.path, artifact.card, threads=1) as model:
        mask = model(frame).mask
    assert mask is not None
    assert mask.shares[0][0].name == "bird"
    truth = cv2.imread(str(models / "bird_segmentation_mask.bmp"), cv2.IMREAD_UNCHANGED) == 3
    found = at_frame_size(mask, *frame.pixels.shape[:2]) == PASCAL.index("bird")
    assert (truth & found).sum() / (truth | found).sum() >= 0.8


@pytest.mark.shared
def test_a_real_recurrent_detector_is_given_its_state(shared_folder: Path, tmp_path: Path) -> None:
    models = shared_folder / "models"
    three, detection = named("class 0", "class 1", "class 2"), Other(Task.DETECTION)
    artifact = adopt(models / "traffic_model.tflite", out=tmp_path, labels=three, other=detection)
    spec = artifact.card.output.detection
    assert spec is not None
    assert (spec.head, spec.roles) == (Head.POSTPROCESSED, (0, 1, 2, 3))
    assert artifact.card.state == (
        ("raw_inputs/init_lstm_c", "raw_outputs/lstm_c"),
        ("raw_inputs/init_lstm_h", "raw_outputs/lstm_h"),
    )
    frames = [frame_of(models / "cat.bmp", index) for index in (0, 1, 2, 0)]
    size = frames[0].pixels.shape[:2]
    with open_model(artifact.path, artifact.card, threads=1, threshold=0.01) as model:
        seen = [model(frame).boxes for frame in frames]
        tensor = model.preprocess(frames[0])
        # By hand, without the runtime's own bookkeeping: zeros first, then what was given.
        state = [np.zeros((1, 8, 8, 320), np.uint8)] * 2
        by_hand = []
        for _ in range(3):
            outputs = model.backend.infer(tensor, *state)
            by_hand.append(model.reader.read(outputs[:4], *size)[1])
            state = list(outputs[4:])
    assert seen[0]
    # This file multiplies its state by scales of 1e-35, so it remembers nothing: all are equal.
    assert seen == [*by_hand, by_hand[0]]
    with pytest.raises(DataError, match="knows 3 classes, found 2 labels"):
        adopt(models / "traffic_model.tflite", out=tmp_path, labels=three[:2], other=detection)
