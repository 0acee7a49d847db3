"""Files with features give the last feature map, and the same scores as files without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mejiro.bundle import BundleOptions, write_bundle
from mejiro.errors import ExportError, UsageError
from mejiro.export import Exporter, Outputs, export_with
from mejiro.export.linear_head import find_linear_head
from mejiro.model import Artifact
from mejiro_runtime.backends import open_backend, parse_request
from mejiro_runtime.card import Format, Precision, card_path, head_path
from mejiro_runtime.errors import ModelError
from mejiro_runtime.fields import read_json
from mejiro_runtime.model import open_model

PRECISIONS = (Precision.INT8, Precision.FP16, Precision.FP32)


def keras_features(tiny, model, pixels):
    scale, offset = (np.float32(value[0]) for value in (model.input.scale, model.input.offset))
    run = find_linear_head(model).run
    return np.asarray(run((pixels * scale + offset).astype(np.float32))[1])


@pytest.fixture(scope="module")
def files(tiny, tmp_path_factory):
    """Return every kind of file with features, and the same without."""
    folders = {flag: tmp_path_factory.mktemp(f"features-{flag}") for flag in (True, False)}
    return {
        (format, precision, flag): export_with(exporter, format=format, precision=precision,
                                               out=folders[flag])
        for flag, exporter in (
            (flag, Exporter(tiny.model(), calibration=tiny.noise(), with_features=flag))
            for flag in (True, False)
        )
        for precision in PRECISIONS
        for format in Format
    }  # fmt: skip


def outputs_of(artifact, pixels):
    request = parse_request(None, artifact.card.format, threads=1)
    backend = open_backend(artifact.path, request, precision=artifact.card.precision)
    try:
        made = [[value.copy() for value in backend.infer(picture[None])] for picture in pixels]
        return [np.concatenate(values) for values in zip(*made, strict=True)]
    finally:
        backend.close()


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda value: value.value)
@pytest.mark.parametrize("format", list(Format), ids=lambda value: value.value)
def test_the_second_output_is_the_last_feature_map(tiny, files, format, precision):
    pixels = tiny.pixels()
    scores, features = outputs_of(files[format, precision, True], pixels)
    (plain,) = outputs_of(files[format, precision, False], pixels)
    # An int8 file rounds elsewhere if its converter could move a sum past the pooling before.
    assert np.abs(scores - plain).max() <= (0.02 if precision is Precision.INT8 else 1e-6)
    expected = keras_features(tiny, tiny.model(), pixels)
    assert features.dtype == np.float32
    assert features.shape == expected.shape
    tolerance = {Precision.INT8: 0.06, Precision.FP16: 2e-3, Precision.FP32: 1e-5}[precision]
    assert np.abs(features - expected).max() <= tolerance * np.ptp(expected)


@pytest.mark.parametrize("format", list(Format), ids=lambda value: value.value)
def test_card_and_weights_lie_beside_the_file(tiny, files, format):
    artifact = Artifact.open(files[format, Precision.INT8, True].path)
    value = read_json(card_path(artifact.path))
    assert value["schema"] == 2
    assert value["features"] == [12, 12, 8]
    weights = np.load(head_path(artifact.path), allow_pickle=False)
    assert weights.dtype == np.float16
    expected = tiny.model().keras_model.layers[-1].get_weights()[0].T
    assert weights.astype(np.float32) == pytest.approx(expected, rel=1e-3)
    plain = files[format, Precision.INT8, False]
    without = read_json(card_path(plain.path))
    assert without["schema"] == 1  # which older runtimes read
    assert "features" not in without
    assert not head_path(plain.path).exists()


def test_large_weights_stay_float32(tiny, tmp_path):
    from mejiro.export.exporter import _write_weights

    head = find_linear_head(tiny.model())
    large = replace(head, weights=head.weights * 1e6)
    _write_weights(tmp_path / "head.npy", large)
    assert np.load(tmp_path / "head.npy") == pytest.approx(head.weights * 1e6)


@pytest.mark.parametrize("format", list(Format), ids=lambda value: value.value)
def test_a_device_weighs_the_features_of_a_class(tiny, files, format):
    from time import perf_counter_ns

    from mejiro_runtime.types import Frame, PixelOrder

    artifact = files[format, Precision.FP32, True]
    pixels = tiny.pixels(3)
    expected = keras_features(tiny, tiny.model(), pixels)
    weights = tiny.model().keras_model.layers[-1].get_weights()[0]
    with open_model(artifact.path, artifact.card, threads=1) as model:
        for number, picture in enumerate(pixels):
            frame = Frame(picture, PixelOrder.RGB, number, perf_counter_ns(), 0)
            model.keep_features = False
            model(frame)
            with pytest.raises(ModelError, match="kept no features"):
                model.activation_map(0)
            model.keep_features = True
            model(frame)
            heat = model.activation_map(2)
            assert heat.shape == (12, 12)
            assert heat == pytest.approx(expected[number] @ weights[:, 2], abs=5e-3)


def test_a_bundle_takes_the_weights_along(tiny, files, tmp_path):
    artifacts = [files[format, Precision.INT8, True] for format in Format]
    bundle = write_bundle(artifacts, tmp_path / "bundle", options=BundleOptions(name="tiny"))
    for artifact in artifacts:
        card = bundle.card(artifact.card.file)
        path = bundle.model_path(card)
        assert f"models/{head_path(path).name}" in bundle.manifest.files
        with open_model(path, card, threads=1) as model:
            model.keep_features = True
            tensor = np.zeros(card.input.shape, np.uint8)
            model.infer(tensor)
            assert model.activation_map(1).shape == (12, 12)


def test_full_integer_files_have_no_features(tiny):
    with pytest.raises(UsageError, match="--with-features or --full-integer"):
        Exporter(tiny.model(), full_integer=True, with_features=True)
    with pytest.raises(UsageError, match="--with-features or --full-integer"):
        Outputs(full_integer=True, with_features=True)


def test_a_model_of_another_head_is_refused_before_any_work(tiny, tmp_path, monkeypatch):
    from mejiro.tensorflow import load_keras

    keras = load_keras()
    model = tiny.model()
    pooled = keras.layers.GlobalMaxPooling2D(name="most")(model.keras_model.layers[-3].output)
    network = keras.Model(model.keras_model.input, keras.layers.Dense(7, "softmax")(pooled))
    other = type(model)("other", network, model.input, model.labels, model.scores)
    with pytest.raises(ExportError, match=r"other has no head .*'most'"):
        Exporter(other, with_features=True)
