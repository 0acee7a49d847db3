from __future__ import annotations

import errno
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

import mejiro.export.adopt as package
from mejiro.errors import DataError, ExportError, UsageError
from mejiro.export.adopt import Background, Hints, Normalize, adopt
from mejiro.export.adopt.facts import ModelFacts
from mejiro.export.adopt.trial import Trial
from mejiro.model import Artifact
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.errors import MejiroError, ModelError
from mejiro_runtime.kernels import Pixels
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.preprocess import InputSpec, Layout, ResizeMode, TensorType
from mejiro_runtime.types import Frame, Label, PixelOrder

RGB = {"red": (220, 20, 30), "green": (20, 220, 30), "blue": (30, 20, 220)}
PIXELS = {"dtype": "uint8", "given": (1 / 255, 0), "made": (1 / 256, 0)}


def answer_of(model: Model, pixels: Pixels) -> str:
    frame = Frame(pixels, PixelOrder.RGB, index=0, captured_ns=0, capture_ns=0)
    return model(frame).top[0].label.short


def tell_colours(artifact: Artifact) -> list[str]:
    """Return what an adopted model sees in a red, a green and a blue frame, as a device runs it."""
    with open_model(artifact.path, artifact.card, threads=1) as model:
        frames = [np.full((30, 40, 3), colour, np.uint8) for colour in RGB.values()]
        return [answer_of(model, frame) for frame in frames]


@pytest.mark.parametrize(
    ("format", "options", "hints"),
    [
        ("tflite", PIXELS, Hints()),
        ("tflite", {"dtype": "int8", "given": (2 / 255, 0), "made": (1 / 256, -128)}, Hints()),
        ("tflite", {"dtype": "uint8", "given": (0.02, 110), "made": (1 / 256, 0)}, "imagenet"),
        ("tflite", {}, "0..1"),
        ("tflite", {**PIXELS, "signature": (-1, 8, 8, 3)}, Hints()),
        ("onnx", {}, "imagenet"),
        ("onnx", {"shape": ("N", 3, 8, 8)}, "-1..1"),
        ("onnx", {"keep_axes": True}, "0..1"),
        ("onnx", {"end": "LogSoftmax"}, "0..1"),
        ("onnx", {"weights_are_inputs": True, "ir": 3, "opset": 9}, "0..1"),
        ("onnx", {"dtype": TensorProto.UINT8, "given": (1 / 255, 0)}, Hints()),
        ("onnx", {"dtype": TensorProto.INT8, "given": (2 / 255, 0)}, Hints()),
        ("onnx", {"given": (2 / 255, 127)}, Hints()),
        ("onnx", {"dtype": TensorProto.UINT8}, Hints()),
    ],
)
def test_an_adopted_model_sees_what_it_was_made_to_see(
    stranger: Callable[..., Path],
    tmp_path: Path,
    colours: tuple[Label, ...],
    format: str,
    options: dict[str, object],
    hints: Hints | str,
) -> None:
    if isinstance(hints, str):
        hints = Hints(normalize=Normalize(hints))
    path = stranger(format, **options)
    artifact = adopt(path, out=tmp_path / "out", labels=colours, hints=hints)
    assert Artifact.open(artifact.path) == artifact
    assert artifact.card.format is Format(format)
    assert tell_colours(artifact) == list(RGB)


def test_a_model_of_bgr_is_adopted_as_one(
    stranger: Callable[..., Path], tmp_path: Path, colours: tuple[Label, ...]
) -> None:
    swapped = tuple(Label(2 - label.index, label.name) for label in reversed(colours))
    hints = Hints(order=PixelOrder.BGR)
    artifact = adopt(stranger("tflite", **PIXELS), out=tmp_path, labels=swapped, hints=hints)
    assert artifact.card.input.order is PixelOrder.BGR
    assert tell_colours(artifact) == list(RGB)


def test_metadata_alone_is_enough(
    stranger: Callable[..., Path], tmp_path: Path, metadata: Callable[..., bytes]
) -> None:
    described = metadata(mean=(127.0,), std=(128.0,), labels="names.txt", author="someone")
    files = {"names.txt": b"red\ngreen\nblue\n"}
    artifact = adopt(stranger("tflite", metadata=described, files=files), out=tmp_path / "out")
    assert tell_colours(artifact) == list(RGB)
    assert artifact.card.lineage["adopted"]["metadata"] == {"author": "someone"}
    assert not any("ASSUMED" in finding for finding in artifact.card.lineage["findings"])


def test_the_card_tells_where_the_file_is_from(
    stranger: Callable[..., Path], tmp_path: Path, colours: tuple[Label, ...]
) -> None:
    path = stranger("tflite", **PIXELS, weights="int8")
    artifact = adopt(path, out=tmp_path / "out", labels=colours)
    card, original = artifact.card, path.read_bytes()
    assert artifact.path.read_bytes() == original
    assert card.precision is Precision.INT8
    assert (card.file, card.size_bytes) == ("tiny.tflite", len(original))
    adopted = card.lineage["adopted"]
    assert adopted["sha256"] == card.sha256 == sha256(original).hexdigest()
    assert card.lineage["changes"] == []
    assert card.lineage["tried_with"].startswith("ai-edge-litert ")
    assert card.lineage["findings"] == [
        "input: 8x8, uint8, NHWC",
        "channels: rgb, ASSUMED since the file does not say; --order bgr changes it",
        "pixels: as they are; the quantization covers 0.000 to 1.000, the range 0..1",
        "labels: as given",
        "classes: 3",
        "scores: probabilities, since the graph ends in SOFTMAX",
    ]


@pytest.mark.parametrize(
    ("format", "options"),
    [("onnx", {"shape": ("N", 3, 8, 8)}), ("tflite", {"signature": (-1, 8, 8, 3)})],
)
def test_a_changed_copy_remembers_its_original(
    stranger: Callable[..., Path],
    tmp_path: Path,
    colours: tuple[Label, ...],
    format: str,
    options: dict[str, object],
) -> None:
    path = stranger(format, **options)
    original = path.read_bytes()
    hints = Hints(normalize=Normalize.UNIT)
    artifact = adopt(path, out=tmp_path / "out", labels=colours, hints=hints)
    assert path.read_bytes() == original
    assert artifact.path.read_bytes() != original
    assert artifact.card.lineage["adopted"]["sha256"] == sha256(original).hexdigest()
    assert artifact.card.sha256 != sha256(original).hexdigest()
    assert artifact.card.lineage["changes"] == ["the open batch was fixed to 1"]
    with pytest.raises(UsageError, match="has to be changed.*give another folder"):
        adopt(path, out=path.parent, labels=colours, hints=hints)
    assert path.read_bytes() == original


def test_an_unchanged_file_may_be_adopted_where_it_lies(
    stranger: Callable[..., Path], colours: tuple[Label, ...]
) -> None:
    path = stranger("tflite", **PIXELS)
    original = path.read_bytes()
    artifact = adopt(path, out=path.parent, labels=colours)
    assert path.read_bytes() == original
    assert Artifact.open(path) == artifact


def test_a_given_specification_is_used(
    stranger: Callable[..., Path], tmp_path: Path, colours: tuple[Label, ...]
) -> None:
    spec = InputSpec(
        8,
        8,
        resize=ResizeMode.STRETCH,
        scale=(1 / 255,),
        dtype=TensorType.FLOAT32,
        layout=Layout.NCHW,
    )
    path = stranger("onnx", shape=("N", 3, "H", "W"))
    artifact = adopt(path, out=tmp_path / "out", labels=colours, input_spec=spec)
    assert artifact.card.input == spec
    assert tell_colours(artifact) == list(RGB)


def test_a_background_is_never_the_answer(stranger: Callable[..., Path], tmp_path: Path) -> None:
    labels = (Label(0, "green"), Label(1, "blue"))
    path = stranger("tflite", **PIXELS)
    with pytest.raises(UsageError, match="--background first"):
        adopt(path, out=tmp_path / "out", labels=labels)
    hints = Hints(background=Background.FIRST)
    artifact = adopt(path, out=tmp_path / "out", labels=labels, hints=hints)
    assert artifact.card.output.background == 0
    assert [label.name for label in artifact.card.labels] == ["background", "green", "blue"]
    assert tell_colours(artifact)[1:] == ["green", "blue"]
    assert tell_colours(artifact)[0] != "background"


@pytest.mark.parametrize(
    ("format", "options", "kind", "said"),
    [
        ("tflite", PIXELS, UsageError, "holds no labels; give --labels"),
        ("tflite", {**PIXELS, "inputs": 2}, ModelError, r"2 inputs \(image, extra1\)"),
        ("onnx", {"inputs": 2}, ModelError, r"2 inputs \(image, extra1\)"),
        ("tflite", {**PIXELS, "signature": (1, -1, -1, 3)}, ModelError, "size open"),
        ("onnx", {"shape": (2, 3, 8, 8)}, ModelError, "batch 1"),
        ("onnx", {"dtype": TensorProto.FLOAT16}, ModelError, "takes float16"),
        ("onnx", {}, UsageError, "give --normalize"),
    ],
)
def test_what_cannot_be_adopted_leaves_nothing(
    stranger: Callable[..., Path],
    tmp_path: Path,
    format: str,
    options: dict[str, object],
    kind: type[MejiroError],
    said: str,
) -> None:
    path = stranger(format, **options)
    with pytest.raises(kind, match=said) as caught:
        adopt(path, out=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_scores_that_nothing_explains_are_asked_about(
    stranger: Callable[..., Path], tmp_path: Path, colours: tuple[Label, ...]
) -> None:
    path = stranger("onnx", end="Relu")
    known = Hints(normalize=Normalize.UNIT)
    with pytest.raises(UsageError, match="ends in Relu.*--scores"):
        adopt(path, out=tmp_path / "out", labels=colours, hints=known)
    assert not (tmp_path / "out").exists()
    hints = Hints(normalize=Normalize.UNIT, scores=Scores.LOGITS)
    assert tell_colours(adopt(path, out=tmp_path / "out", labels=colours, hints=hints)) == list(RGB)


def test_labels_of_the_wrong_length_leave_what_was_there(
    stranger: Callable[..., Path], tmp_path: Path, colours: tuple[Label, ...]
) -> None:
    path = stranger("tflite", **PIXELS)
    before = adopt(path, out=tmp_path / "out", labels=colours)
    with pytest.raises(DataError, match="gives 3 scores, found 1 labels"):
        adopt(path, out=tmp_path / "out", labels=colours[:1])
    assert Artifact.open(before.path) == before
    assert len(list((tmp_path / "out").iterdir())) == 2


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "OSError"])
@pytest.mark.parametrize("place", ["try_model", "write_json"])
def test_ctrl_c_and_a_full_disk_leave_nothing(
    stranger: Callable[..., Path],
    tmp_path: Path,
    colours: tuple[Label, ...],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    kind: str,
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    error = full if kind == "OSError" else KeyboardInterrupt()

    def stop(*_: object, **__: object) -> None:
        raise error

    path = stranger("tflite", **PIXELS)
    monkeypatch.setattr(package, place, stop)
    with pytest.raises((KeyboardInterrupt, ExportError)) as caught:
        adopt(path, out=tmp_path / "out", labels=colours)
    assert (caught.type is ExportError) == (kind == "OSError")
    assert kind != "OSError" or "cannot be written: No space left" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_out_that_is_a_file_is_refused(
    stranger: Callable[..., Path], tmp_path: Path, colours: tuple[Label, ...]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with pytest.raises(ExportError, match="cannot be written"):
        adopt(stranger("tflite", **PIXELS), out=taken, labels=colours)
    assert taken.read_text() == "mine"


def test_what_is_no_model_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match=r"neither \.tflite nor \.onnx"):
        adopt(tmp_path / "model.h5", out=tmp_path / "out")
    for path in (tmp_path / "none.tflite", tmp_path):
        with pytest.raises((ModelError, UsageError)):
            adopt(path, out=tmp_path / "out")
    monkeypatch.setattr(package, "MAX_MODEL_BYTES", 100)
    with pytest.raises(ModelError, match="no model file has more than"):
        adopt(stranger("tflite"), out=tmp_path / "out")


@pytest.mark.parametrize(
    ("dtype", "shape", "said"),
    [
        ("int64", (1, 3), "are no scores"),
        ("uint8", (1, 3), "does not state their scale"),
        ("float32", (1, -1), "does not tell how many"),
    ],
)
def test_outputs_that_cannot_be_read_are_refused(
    stranger: Callable[..., Path],
    tmp_path: Path,
    colours: tuple[Label, ...],
    monkeypatch: pytest.MonkeyPatch,
    dtype: str,
    shape: tuple[int, ...],
    said: str,
) -> None:
    path = stranger("tflite", **PIXELS)

    def read(data: bytes, name: str, spec: InputSpec | None) -> ModelFacts:
        facts = package.read_tflite(data, name, spec)
        output = package.TensorFacts("scores", shape, dtype)
        return ModelFacts(**{**vars(facts), "outputs": (output,)})

    monkeypatch.setitem(package.READERS, Format.TFLITE, read)
    with pytest.raises(ModelError, match=said):
        adopt(path, out=tmp_path / "out", labels=colours)


def test_the_output_that_came_counts_not_the_one_promised(
    stranger: Callable[..., Path],
    tmp_path: Path,
    colours: tuple[Label, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def came(*_: object, **__: object) -> Trial:
        return Trial(shape=(1, 7, 3), dtype="uint8", sums=(1.0,), lowest=0.0, engine="e")

    monkeypatch.setattr(package, "try_model", came)
    with pytest.raises(ModelError, match=r"gives uint8 \(1, 7, 3\)"):
        adopt(stranger("tflite", **PIXELS), out=tmp_path / "out", labels=colours)
