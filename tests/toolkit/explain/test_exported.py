"""What an exported file shows agrees with the network it was made from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import spearmanr

from mejiro.errors import UsageError
from mejiro.explain import ExportedSubject, Method, NetworkSubject, Occlusion, Request, explain
from mejiro.export import Exporter, export_with
from mejiro.model import Artifact
from mejiro_runtime.card import Format, Precision, head_path
from mejiro_runtime.errors import ModelError
from mejiro_runtime.model import open_model

KINDS = pytest.mark.parametrize(
    ("format", "precision"),
    [(format, precision) for precision in (Precision.INT8, Precision.FP32) for format in Format],
    ids=lambda value: value.value,
)


def opened(artifact):
    return ExportedSubject(artifact, open_model(artifact.path, artifact.card, threads=1))


def correlation(one, other):
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


@KINDS
@pytest.mark.parametrize("method", [Method.GRADCAM, Method.GRADCAM_PLUS_PLUS])
def test_it_agrees_with_gradients_of_the_network(shapes, exported, format, precision, method):
    with opened(exported(format, precision)) as file, NetworkSubject(shapes.model()) as network:
        found = []
        for scene in shapes.scenes(6, seed=21):
            request = Request(method, target=str(scene.index))
            mine, theirs = (explain(one, scene.pixels, request) for one in (file, network))
            assert mine.computed == "class activation mapping"
            assert mine.heat.shape == theirs.heat.shape == (16, 16)
            found.append(correlation(mine.heat, theirs.heat))
            if precision is Precision.FP32:
                assert mine.heat == pytest.approx(theirs.heat, abs=2e-3 * float(theirs.heat.max()))
    assert min(found) >= 0.9
    if precision is Precision.FP32:
        assert min(found) >= 0.99


@KINDS
def test_occlusion_agrees_too(shapes, exported, format, precision):
    (scene,) = shapes.scenes(1, seed=22)
    request = Request(Method.OCCLUSION, occlusion=Occlusion(16, 8))
    with opened(exported(format, precision)) as file, NetworkSubject(shapes.model()) as network:
        mine, theirs = (explain(one, scene.pixels, request) for one in (file, network))
    assert correlation(mine.heat, theirs.heat) >= 0.9
    assert mine.heat == pytest.approx(theirs.heat, abs=0.1)


def test_features_are_those_of_the_network(shapes, exported):
    (scene,) = shapes.scenes(1, seed=23)
    request = Request(Method.FEATURES)
    file, network = opened(exported(Format.TFLITE, Precision.FP32)), NetworkSubject(shapes.model())
    with file, network:
        (mine,) = explain(file, scene.pixels, request).stages
        theirs = explain(network, scene.pixels, request).stages[-1]
    assert mine.layer == "features"
    assert mine.features == pytest.approx(theirs.features, abs=1e-4)


def test_there_is_one_layer(exported):
    with opened(exported(Format.TFLITE, Precision.INT8)) as file:
        pixels = np.zeros((64, 64, 3), np.uint8)
        with pytest.raises(UsageError, match="not layer 'relu1'"):
            explain(file, pixels, Request(layer="relu1"))
        assert explain(file, pixels, Request(layer="features")).layer == "features"


def test_without_features_only_occlusion_works(shapes, tmp_path):
    artifact = export_with(
        Exporter(shapes.float_model(shapes.build("hidden"))),
        format=Format.TFLITE, precision=Precision.FP32, out=tmp_path,
    )  # fmt: skip
    (scene,) = shapes.scenes(1, seed=22)
    with opened(artifact) as file:
        for method in (Method.GRADCAM, Method.FEATURES):
            with pytest.raises(UsageError, match=r"--with-features.*--method occlusion"):
                explain(file, scene.pixels, Request(method))
        request = Request(Method.OCCLUSION, occlusion=Occlusion(32, 32))
        assert explain(file, scene.pixels, request).heat.shape == (64, 64)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: path.write_bytes(b"no array"), "cannot be read"),
        (lambda path: np.save(path, np.zeros((3, 7))), r"holds weights \(3, 7\)"),
        (lambda path: np.save(path, np.array([{}], dtype=object)), "cannot be read"),
    ],
)
def test_damaged_weights_are_refused(shapes, exported, tmp_path, damage, message):
    source = exported(Format.TFLITE, Precision.FP32)
    for path in source.path.parent.glob(f"{source.path.name}*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    artifact = Artifact.open(tmp_path / source.path.name)
    damage(head_path(artifact.path))
    with opened(artifact) as file, pytest.raises(ModelError, match=message):
        explain(file, shapes.scenes(1, seed=1)[0].pixels, Request())


def test_tensorflow_is_not_needed(exported, tmp_path):
    artifact = exported(Format.ONNX, Precision.INT8)
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((70, 60, 3), 90, np.uint8))
    words = ["explain", str(artifact.path), str(tmp_path / "a.png")]
    code = (
        f"import sys; from mejiro.cli import main; code = main({words!r}); "
        "assert code == 0; print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "a.gradcam.jpg").is_file()
