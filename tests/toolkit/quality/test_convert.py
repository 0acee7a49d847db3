"""A conversion writes all it was asked for, scored, or nothing at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mejiro.data.calibration import calibration_from_folder
from mejiro.data.folders import labelled_pictures
from mejiro.errors import ExportError, QualityError, UsageError
from mejiro.export import Outputs
from mejiro.model import Artifact, FloatModel
from mejiro.quality import convert as module
from mejiro.quality.convert import Conversion, Scoring, convert
from mejiro.tensorflow import load_keras
from mejiro_runtime.card import Format, Precision

INT8 = [(Format.TFLITE, Precision.INT8), (Format.ONNX, Precision.INT8)]


def _scoring(colours: FloatModel, folder, max_drop: float | None = None) -> Scoring:
    return Scoring(labelled_pictures(folder, colours.labels), data="colours", max_drop=max_drop)


def test_all_files_are_written_scored_and_agree_with_float(colours, colour_pictures, tmp_path):
    folder, stages = colour_pictures(), []
    result = convert(
        colours,
        INT8,
        tmp_path / "out",
        calibration=calibration_from_folder(folder),
        scoring=_scoring(colours, folder, max_drop=0.0),
        on_stage=stages.append,
    )
    assert isinstance(result, Conversion)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "colours-int8.onnx",
        "colours-int8.onnx.json",
        "colours-int8.tflite",
        "colours-int8.tflite.json",
    ]
    for artifact in result.artifacts:
        kept = Artifact.open(artifact.path).card
        assert kept.evaluation is not None
        assert (kept.evaluation["top1"], kept.evaluation["agreement"]) == (1.0, 1.0)
        assert kept.evaluation["against"] == "colours-fp32.tflite"
    assert result.reference is not None
    assert result.reference.card.evaluation["top1"] == 1.0
    assert any("scoring" in stage for stage in stages)


def test_the_network_itself_is_scored_if_asked_for(colours, colour_pictures, tmp_path):
    folder = colour_pictures()
    scoring = Scoring(
        labelled_pictures(folder, colours.labels), "colours", max_drop=0.0, with_network=True
    )
    result = convert(
        colours,
        INT8[:1],
        tmp_path / "out",
        calibration=calibration_from_folder(folder),
        scoring=scoring,
    )
    assert result.network is not None
    assert (result.network.top1, result.network.agreement) == (1.0, 1.0)
    assert result.network.backend["engine"] == "keras"
    for artifact in (*result.artifacts, result.reference):
        assert artifact.card.evaluation["against"] == "model.keras"
        assert artifact.card.evaluation["agreement"] == 1.0


def test_a_reference_that_was_asked_for_is_kept(colours, colour_pictures, tmp_path):
    folder = colour_pictures(each=1)
    kinds = [(Format.TFLITE, Precision.FP32), (Format.ONNX, Precision.FP32)]
    result = convert(colours, kinds, tmp_path / "out", scoring=_scoring(colours, folder))
    assert result.reference == result.artifacts[0]
    assert result.reference.path.is_file()


def test_too_large_a_loss_writes_nothing(colours, colour_pictures, tmp_path, monkeypatch):
    folder = colour_pictures(each=1)
    honest = module.evaluate

    def lose(*args, **kwargs):
        results = honest(*args, **kwargs)
        # What an int8 file that has collapsed would earn.
        object.__setattr__(results[0], "top1", 1 / 3)
        return results

    monkeypatch.setattr(module, "evaluate", lose)
    with pytest.raises(QualityError, match=r"loses 66\.7 points .* nothing was written"):
        convert(
            colours,
            INT8[:1],
            tmp_path / "out",
            calibration=calibration_from_folder(folder),
            scoring=_scoring(colours, folder, max_drop=1.0),
        )
    assert not (tmp_path / "out").exists()


def test_what_was_there_stays_when_a_conversion_fails(colours, tmp_path, monkeypatch):
    out = tmp_path / "out"
    convert(colours, [(Format.TFLITE, Precision.FP32)], out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "export_with", stop)
    with pytest.raises(KeyboardInterrupt):
        convert(colours, [(Format.TFLITE, Precision.FP32)], out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_nothing_to_do_and_a_file_in_the_way_are_refused(colours, tmp_path):
    with pytest.raises(UsageError, match="nothing to convert"):
        convert(colours, [], tmp_path / "out")
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        convert(colours, INT8[:1], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_features_bring_the_weights_of_the_head_along(colours, tmp_path):
    out = tmp_path / "out"
    kinds = [(Format.TFLITE, Precision.FP32)]
    convert(colours, kinds, out, outputs=Outputs(with_features=True))
    assert sorted(path.name for path in out.iterdir()) == [
        "colours-fp32.tflite",
        "colours-fp32.tflite.head.npy",
        "colours-fp32.tflite.json",
    ]
    assert Artifact.open(out / "colours-fp32.tflite").card.features == (16, 16, 3)
    convert(colours, kinds, out)
    assert Artifact.open(out / "colours-fp32.tflite").card.features == ()
    assert len(list(out.iterdir())) == 2


def test_features_of_another_head_are_refused_and_nothing_is_written(colours, tmp_path):
    keras = load_keras()
    look = colours.keras_model.get_layer("look").output
    pooled = keras.layers.GlobalMaxPooling2D(name="most")(look)
    scores = keras.layers.Dense(3, activation="softmax")(pooled)
    other = replace(colours, keras_model=keras.Model(colours.keras_model.input, scores))
    with pytest.raises(ExportError, match=r"'most'.*leave --with-features out"):
        convert(other, INT8, tmp_path / "out", outputs=Outputs(with_features=True))
    assert not (tmp_path / "out").exists()
