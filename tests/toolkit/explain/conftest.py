"""Train networks in seconds whose objects' places are known: a coloured blob on noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mejiro.data.calibration import CalibrationSet
from mejiro.export import Exporter, export_with
from mejiro.model import Artifact, FloatModel
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.preprocess import InputSpec, ResizeMode, TensorType
from mejiro_runtime.types import Label, PixelOrder

SIDE, BLOB = 64, 18
NAMES = ("ring", "cross", "bars")
LABELS = tuple(Label(index, name, f"n0000000{index}") for index, name in enumerate(NAMES))
SPEC = InputSpec(
    SIDE, SIDE, resize=ResizeMode.STRETCH, scale=(1 / 128,), offset=(-127 / 128,),
    dtype=TensorType.FLOAT32,
)  # fmt: skip
HEADS = ("gap", "hidden", "max", "flatten")


@dataclass(frozen=True, eq=False)
class Scene:
    """Hold a picture, uint8 BGR, its class, and the box (top, left, side) of its object."""

    pixels: np.ndarray[Any, Any]
    index: int
    box: tuple[int, int, int]

    def share_inside(self, heat: np.ndarray[Any, Any], *, margin: int = 0) -> float:
        """Return the share of the heat over the picture that lies in the box."""
        top, left, side = self.box
        low_y, low_x = max(0, top - margin), max(0, left - margin)
        inner = heat[low_y : top + side + margin, low_x : left + side + margin]
        return float(inner.sum() / heat.sum())

    def hit(self, heat: np.ndarray[Any, Any], *, margin: int = 0) -> bool:
        """Say whether the hottest place lies in the box: the pointing game."""
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        top, left, side = self.box
        return bool(
            top - margin <= y < top + side + margin and left - margin <= x < left + side + margin
        )


def _shape(index: int) -> np.ndarray[Any, Any]:
    """Return a mask (BLOB, BLOB): shapes of equal colour, so that only their form tells."""
    y, x = np.mgrid[:BLOB, :BLOB] - (BLOB - 1) / 2
    if index == 0:
        return np.abs(np.hypot(x, y) - 6.5) < 2
    if index == 1:
        return (np.abs(x) < 2) | (np.abs(y) < 2)
    return np.floor((y + BLOB) / 3) % 2 == 0


def draw_scene(rng: np.random.Generator, index: int) -> Scene:
    """Return noise with one shape somewhere in it."""
    pixels = rng.integers(40, 160, (SIDE, SIDE, 3)).astype(np.uint8)
    top, left = (int(value) for value in rng.integers(2, SIDE - BLOB - 2, 2))
    region = pixels[top : top + BLOB, left : left + BLOB]
    region[_shape(index)] = (235, 235, 235)
    return Scene(pixels, index, (top, left, BLOB))


def draw_scenes(count: int, seed: int) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [draw_scene(rng, number % len(NAMES)) for number in range(count)]


def build_network(head: str, *, seed: int = 1, logits: bool = False) -> Any:
    """Return an untrained network with one of HEADS."""
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    x = pixels = keras.Input((SIDE, SIDE, 3))
    for number, (filters, stride) in enumerate(((12, 2), (24, 2), (32, 1))):
        x = layers.Conv2D(
            filters, 5, strides=stride, padding="same", use_bias=False, name=f"conv{number}"
        )(x)
        x = layers.BatchNormalization(momentum=0.8, name=f"norm{number}")(x)
        x = layers.ReLU(6.0, name=f"relu{number}")(x)
    if head == "flatten":
        x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    elif head == "max":
        x = layers.GlobalMaxPooling2D(name="pool")(x)
    else:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
    if head == "hidden":
        x = layers.Dense(24, activation="relu", name="hidden")(x)
    x = layers.Dropout(0.1)(x)
    x = layers.Dense(len(NAMES), name="classifier")(x)
    return keras.Model(pixels, x if logits else layers.Softmax(name="probabilities")(x))


def as_tensors(scenes: list[Scene]) -> np.ndarray[Any, Any]:
    pixels = np.stack([scene.pixels for scene in scenes])[..., ::-1]
    return (pixels * np.float32(1 / 128) - np.float32(127 / 128)).astype(np.float32)


def train_network(head: str) -> Any:
    """Return a network that tells the shapes apart."""
    keras = load_keras()
    network = build_network(head)
    scenes = draw_scenes(240, seed=2)
    truth = np.array([scene.index for scene in scenes])
    network.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
    network.fit(as_tensors(scenes), truth, batch_size=24, epochs=7, verbose=0, shuffle=True)
    return network


def float_model(
    network: Any, *, scores: Scores = Scores.PROBABILITIES, wide: bool = False
) -> FloatModel:
    spec = replace(SPEC, width=2 * SIDE) if wide else SPEC
    return FloatModel("shapes", network, spec, LABELS, scores, lineage={"seed": 1})


@dataclass(frozen=True)
class _Drawn:
    seed: int

    @property
    def name(self) -> str:
        return f"scene {self.seed}"

    def read(self) -> tuple[np.ndarray[Any, Any], PixelOrder]:
        rng = np.random.default_rng(1000 + self.seed)
        return draw_scene(rng, self.seed % len(NAMES)).pixels, PixelOrder.BGR


@pytest.fixture(scope="session")
def shapes() -> SimpleNamespace:
    """Give the trained networks by head, made at first use, and what draws their pictures."""
    trained: dict[str, FloatModel] = {}

    def model(head: str = "gap") -> FloatModel:
        if head not in trained:
            trained[head] = float_model(train_network(head))
        return trained[head]

    return SimpleNamespace(
        model=model,
        scenes=draw_scenes,
        tensors=as_tensors,
        build=build_network,
        float_model=float_model,
        SPEC=SPEC,
        LABELS=LABELS,
        HEADS=HEADS,
        SIDE=SIDE,
    )


@pytest.fixture(scope="session")
def exported(
    shapes: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Format, Precision], Artifact]:
    """Return a function that gives the trained network as a file with features."""
    folder = tmp_path_factory.mktemp("exported")
    calibration = CalibrationSet("scenes", tuple(_Drawn(seed) for seed in range(12)))
    made: dict[tuple[Format, Precision], Artifact] = {}
    exporters: list[Exporter] = []

    def get(format: Format, precision: Precision) -> Artifact:
        if not exporters:
            exporters.append(Exporter(shapes.model(), calibration=calibration, with_features=True))
        if (format, precision) not in made:
            made[format, precision] = export_with(
                exporters[0], format=format, precision=precision, out=Path(folder)
            )
        return made[format, precision]

    return get
