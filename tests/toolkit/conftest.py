"""Make what many tests of the host need: a classifier that tells colours, and pictures of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mejiro.model import Artifact
from mejiro_runtime.card import (
    ArtifactCard,
    Format,
    OutputSpec,
    Precision,
    Scores,
    card_path,
)
from mejiro_runtime.files import sha256_of, write_json
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Label

COLOURS = {"red": (0, 0, 200), "green": (0, 200, 0), "blue": (200, 0, 0)}  # BGR
SIDE = 16

WriteColourModel = Callable[..., Artifact]
WriteColourPictures = Callable[..., Path]


def _colour_graph(order: str, sharpness: float) -> onnx.ModelProto:
    """Return a network whose three scores are the mean red, green and blue of the picture."""
    matrix = np.eye(3, dtype=np.float32) * sharpness
    if order == "bgr":  # a model that was trained on swapped channels
        matrix = matrix[::-1].copy()
    nodes = [
        helper.make_node("Cast", ["pixels"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["real"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "matrix"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [1, SIDE, SIDE, 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(
        nodes, "colours", [pixels], [scores], [numpy_helper.from_array(matrix, "matrix")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def colour_model(tmp_path: Path) -> WriteColourModel:
    """Return a function that writes an ONNX classifier of red, green and blue, and its card."""

    def write(
        name: str = "colours-fp32",
        *,
        order: str = "rgb",
        sharpness: float = 0.1,
        labels: tuple[str, ...] = tuple(COLOURS),
        folder: Path | None = None,
    ) -> Artifact:
        folder = folder or tmp_path / "artifacts"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.onnx"
        onnx.save(_colour_graph(order, sharpness), path)
        card = ArtifactCard(
            file=path.name,
            format=Format.ONNX,
            precision=Precision.FP32,
            input=InputSpec(height=SIDE, width=SIDE),
            output=OutputSpec(scores=Scores.PROBABILITIES),
            size_bytes=path.stat().st_size,
            sha256=sha256_of(path),
            labels=tuple(Label(i, label, f"n0000000{i}") for i, label in enumerate(labels)),
        )
        write_json(card_path(path), card.to_json())
        return Artifact.open(path)

    return write


@pytest.fixture
def colour_pictures(tmp_path: Path) -> WriteColourPictures:
    """Return a function that writes folders of noisy pictures, one folder for each colour."""

    def write(name: str = "pictures", *, each: int = 4, size: tuple[int, int] = (40, 30)) -> Path:
        folder = tmp_path / name
        rng = np.random.default_rng(5)
        for colour, bgr in COLOURS.items():
            (folder / colour).mkdir(parents=True)
            for index in range(each):
                noise = rng.integers(0, 50, (size[1], size[0], 3))
                picture = (np.array(bgr) + noise).astype(np.uint8)
                assert cv2.imwrite(str(folder / colour / f"{index}.png"), picture)
        return folder

    return write
