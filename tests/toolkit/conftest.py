"""Make what many tests of the host need: a classifier that tells colours, and pictures of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mejiro.model import Artifact, FloatModel
from mejiro.tensorflow import load_keras
from mejiro.zoo import MODELS, BuildOptions, Weights, build
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


@pytest.fixture(autouse=True)
def hasty_races(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time files without waiting for threads to settle: here only the order of things counts."""
    monkeypatch.setattr("mejiro_runtime.turns.SETTLE_NS", 0)


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


# Families whose width is no option are made narrow here, else 138 million weights would be
# quantized.
NARROWER = 8

BuildSmallestRow = Callable[[str, tuple[Label, ...]], FloatModel]


def _narrowed(network: Any, classes: int) -> Any:
    """A copy of `network` with an eighth of its channels, weights at random."""
    keras = load_keras()

    def narrow(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):
            return layer
        config = layer.get_config()
        for name in ("filters", "units"):
            if config.get(name, 0) > classes:
                config[name] = max(1, config[name] // NARROWER)
        return layer.__class__.from_config(config)

    return keras.models.clone_model(network, clone_function=narrow)


@pytest.fixture(scope="session")
def smallest_row() -> BuildSmallestRow:
    """Return a function that builds a row of the zoo as small as it can be, at random."""

    def smallest(name: str, labels: tuple[Label, ...]) -> FloatModel:
        spec = MODELS[name]
        options = BuildOptions(
            image_size=spec.min_image_size,
            alpha=1 / NARROWER if spec.has_alpha else None,
            depth=0.05 if spec.has_depth else None,
        )
        model = build(name, weights=Weights.NONE, labels=labels, options=options)
        if spec.has_alpha:
            return model
        return replace(model, keras_model=_narrowed(model.keras_model, len(labels)))

    return smallest
