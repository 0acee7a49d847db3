"""Export whole files and compare what they say with the Keras model they come from."""

from __future__ import annotations

import numpy as np
import pytest

from mejiro.errors import CalibrationError, ExportError, UsageError
from mejiro.export import EXPORTERS, PRECISIONS, Exporter, export, export_with
from mejiro.export import exporter as exporter_module
from mejiro.model import Artifact
from mejiro_runtime.card import Format, Precision, Scores
from mejiro_runtime.preprocess import TensorType
from mejiro_runtime.types import PixelOrder

FLOATS = (Precision.FP32, Precision.FP16)


def test_every_format_has_an_exporter():
    assert set(EXPORTERS) == set(Format)


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("normalization", ["FOLDED", "SIGNED", "PER_CHANNEL"])
def test_fp32_files_on_bytes_say_what_keras_says_of_normalized_pixels(
    tiny, tmp_path, normalization, logits
):
    model = tiny.model(tiny.input(getattr(tiny, normalization)), logits=logits)
    pixels = tiny.pixels()
    expected = tiny.expected(model, pixels)
    exporter = Exporter(model)
    for format in Format:
        artifact = export_with(exporter, format=format, precision=Precision.FP32, out=tmp_path)
        found = tiny.run(artifact, pixels)
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() < 1e-4
    assert np.ptp(expected, axis=0).max() > 0.05  # the pictures are told apart


def test_a_model_of_bgr_is_given_rgb(tiny, tmp_path):
    model = tiny.model(tiny.input(tiny.PER_CHANNEL, PixelOrder.BGR))
    pixels = tiny.pixels()
    expected = tiny.expected(model, pixels)
    assert np.abs(expected - tiny.expected(model, pixels[..., ::-1])).max() > 0.01
    float_file = export(model, format=Format.TFLITE, precision=Precision.FP32, out=tmp_path)
    assert float_file.card.input.order is PixelOrder.RGB
    assert np.abs(tiny.run(float_file, pixels) - expected).max() < 1e-4
    int8_file = export(
        model,
        format=Format.TFLITE,
        precision=Precision.INT8,
        out=tmp_path,
        calibration=tiny.noise(),
    )
    assert np.abs(tiny.run(int8_file, pixels) - expected).max() < 0.05


@pytest.mark.parametrize("format", list(Format))
def test_fp16_files_are_half_as_large_and_nearly_equal(tiny, tmp_path, format):
    model = tiny.model()
    exporter = Exporter(model)
    half = export_with(exporter, format=format, precision=Precision.FP16, out=tmp_path)
    pixels = tiny.pixels()
    difference = np.abs(tiny.run(half, pixels) - tiny.expected(model, pixels)).max()
    assert 0 < difference < 5e-3


@pytest.mark.parametrize("normalization", ["FOLDED", "SIGNED", "PER_CHANNEL"])
@pytest.mark.parametrize("logits", [False, True])
def test_int8_files_of_both_formats_agree(tiny, tmp_path, normalization, logits):
    model = tiny.model(tiny.input(getattr(tiny, normalization)), logits=logits)
    pixels = tiny.pixels()
    exporter = Exporter(model, calibration=tiny.noise())
    rows = [
        tiny.run(
            export_with(exporter, format=format, precision=Precision.INT8, out=tmp_path), pixels
        )
        for format in Format
    ]
    assert np.abs(rows[0] - tiny.expected(model, pixels)).max() < 0.05
    # The engines may round an integer the other way now and then; the graphs are the same.
    assert np.abs(rows[0] - rows[1]).max() < 0.01
    # The softmax is taken in float: no steps of 1/256.
    assert np.abs(rows[0] * 256 - np.rint(rows[0] * 256)).max() > 0.05


def test_one_quantization_serves_both_formats(tiny, tmp_path, monkeypatch):
    calls = []
    real = exporter_module.convert_int8
    monkeypatch.setattr(
        exporter_module, "convert_int8", lambda *a, **k: calls.append(1) or real(*a, **k)
    )
    exporter = Exporter(tiny.model(), calibration=tiny.noise(2))
    for format in Format:
        export_with(exporter, format=format, precision=Precision.INT8, out=tmp_path)
    assert len(calls) == 1


def test_full_integer_keeps_uint8_at_the_output(tiny, tmp_path):
    model = tiny.model()
    pixels = tiny.pixels()
    expected = tiny.expected(model, pixels)
    exporter = Exporter(model, calibration=tiny.noise(), full_integer=True)
    for format in Format:
        artifact = export_with(exporter, format=format, precision=Precision.INT8, out=tmp_path)
        rows = tiny.run(artifact, pixels)
        assert rows.dtype == np.uint8
        assert np.abs(rows / 256 - expected).max() < 0.05
        assert artifact.card.lineage["export"]["full_integer"] is True


def test_the_card_says_how_the_file_was_made(tiny, tmp_path):
    stages = []
    written = export(
        tiny.model(),
        format=Format.ONNX,
        precision=Precision.INT8,
        out=tmp_path / "new" / "folder",
        calibration=tiny.noise(3),
        on_progress=stages.append,
    )
    artifact = Artifact.open(written.path)
    assert artifact.card == written.card
    assert artifact.path.name == "tiny-int8.onnx"
    card = artifact.card
    assert (card.input.dtype, card.input.scale, card.input.offset) == (
        TensorType.UINT8,
        (1.0,),
        (0.0,),
    )
    assert card.output.scores is Scores.PROBABILITIES
    assert card.labels == tiny.LABELS
    assert card.lineage["model"] == {"seed": 3}
    made = card.lineage["export"]
    assert made["calibration"]["pictures"] == 3
    assert made["calibration"]["name"] == "noise"
    assert made["normalization"] == "folded into the input quantization"
    assert set(made["packages"]) == {"tensorflow", "keras", "tf2onnx", "onnx", "onnxslim"}
    assert [stage.split()[0] for stage in stages] == ["quantizing", "converting"]
    assert sorted(path.name for path in artifact.path.parent.iterdir()) == [
        "tiny-int8.onnx",
        "tiny-int8.onnx.json",
    ]


def test_without_calibration_int8_takes_the_default_set_and_says_so(tiny, tmp_path):
    artifact = export(tiny.model(), format=Format.TFLITE, precision=Precision.INT8, out=tmp_path)
    calibration = artifact.card.lineage["export"]["calibration"]
    assert "small" in calibration["note"]
    assert calibration["pictures"] >= 50


def test_an_unknown_precision_is_a_usage_error(tiny, tmp_path):
    assert Precision.UNKNOWN not in PRECISIONS
    with pytest.raises(UsageError, match="int8, fp16, fp32"):
        export(tiny.model(), format=Format.ONNX, precision=Precision.UNKNOWN, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", list(Format))
def test_a_converter_that_fails_leaves_what_was_there(tiny, tmp_path, format, monkeypatch):
    path = tmp_path / f"tiny-fp32.{format.value}"
    path.write_text("older")

    def fail(*args, **kwargs):
        raise ExportError("the converter failed")

    monkeypatch.setattr(exporter_module, "convert_float", fail)
    with pytest.raises(ExportError):
        export(tiny.model(), format=format, precision=Precision.FP32, out=tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "older"


def test_a_disk_that_refuses_is_one_line_and_leaves_nothing(tiny, tmp_path, monkeypatch):
    def refuse(path, value):
        raise OSError(28, "No space left on device")

    exporter = Exporter(tiny.model())
    monkeypatch.setattr(exporter_module, "write_json", refuse)
    with pytest.raises(ExportError, match="No space left on device"):
        exporter.write(b"file", Format.TFLITE, Precision.FP32, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unreadable_calibration_pictures_are_named_and_left_out(tiny, tmp_path):
    import cv2

    from mejiro.data.calibration import calibration_from_folder

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "text.jpg").write_text("no picture")
    with pytest.raises(CalibrationError, match="none of the 1 pictures"):
        export(
            tiny.model(),
            format=Format.TFLITE,
            precision=Precision.INT8,
            out=tmp_path / "out",
            calibration=calibration_from_folder(pictures),
        )
    assert not (tmp_path / "out").exists()
    cv2.imwrite(str(pictures / "a.png"), tiny.pixels(1)[0])
    artifact = export(
        tiny.model(),
        format=Format.TFLITE,
        precision=Precision.INT8,
        out=tmp_path / "out",
        calibration=calibration_from_folder(pictures),
    )
    calibration = artifact.card.lineage["export"]["calibration"]
    assert (calibration["pictures"], calibration["unreadable"]) == (1, ["text.jpg"])
