"""Export files by recipes, and compare what both formats say with the Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.errors import ExportError, UsageError
from mejiro.export import Exporter, Outputs, export_with
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.observe import features_of, find_ranges, observe
from mejiro.export.quantize import convert_for_quantization
from mejiro.export.recipe import Calibration, Choice, Method, Recipe, Scheme
from mejiro.export.tflite import calibration_input
from mejiro_runtime.card import Format, Precision


def write(exporter: Exporter, format: Format, out: Any) -> Any:
    return export_with(exporter, format=format, precision=Precision.INT8, out=out)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(calibration=Calibration(Method.PERCENTILE, 99.9)),
        Recipe(calibration=Calibration(Method.ENTROPY)),
        Recipe(calibration=Calibration(Method.MSE), symmetric=True),
        Recipe(layers=(("depthwise*", Scheme.FLOAT), ("dense*", Scheme.FLOAT16))),
    ],
    ids=["min-max", "percentile", "entropy", "mse", "mixed"],
)
def test_files_of_both_formats_agree_with_keras_and_record_the_recipe(tiny, tmp_path, recipe):
    model = tiny.model()
    pixels = tiny.pixels()
    exporter = Exporter(model, calibration=tiny.noise(), recipe=recipe)
    artifacts = [write(exporter, format, tmp_path) for format in Format]
    rows = [tiny.run(artifact, pixels) for artifact in artifacts]
    assert np.abs(rows[0] - tiny.expected(model, pixels)).max() < 0.08
    assert np.abs(rows[0] - rows[1]).max() < 0.03
    for artifact in artifacts:
        lineage = artifact.card.lineage["export"]
        assert Recipe.from_json(lineage["recipe"]) == recipe
        assert lineage["calibration"]["method"] == recipe.method_in_words()
        assert "ai-edge-quantizer" in lineage["packages"]
        assert artifact.card.precision is Precision.INT8


def test_a_recipe_of_the_usual_settings_gives_nearly_the_usual_file(tiny, tmp_path):
    model, pixels = tiny.model(), tiny.pixels()
    files = [
        write(Exporter(model, calibration=tiny.noise(), recipe=recipe), Format.TFLITE, folder)
        for recipe, folder in ((None, tmp_path / "usual"), (Recipe(), tmp_path / "recipe"))
    ]
    usual, ours = (tiny.run(file, pixels) for file in files)
    assert np.abs(usual - ours).max() < 0.02
    assert "recipe" not in files[0].card.lineage["export"]


def test_features_come_out_of_a_file_made_by_a_recipe(tiny, tmp_path):
    exporter = Exporter(
        tiny.model(logits=True), calibration=tiny.noise(), with_features=True, recipe=Recipe()
    )
    for format in Format:
        assert write(exporter, format, tmp_path).card.features == exporter.head.shape


def test_int16_is_refused_in_onnx_in_one_line(tiny, tmp_path):
    exporter = Exporter(tiny.model(), calibration=tiny.noise(), recipe=Recipe(Scheme.INT16X8))
    write(exporter, Format.TFLITE, tmp_path)
    with pytest.raises(ExportError, match="int16, which ONNX cannot quantize to") as raised:
        write(exporter, Format.ONNX, tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("*.onnx*"))


@pytest.mark.parametrize("scheme", [Scheme.FLOAT, Scheme.FLOAT16])
def test_a_recipe_that_quantizes_nothing_is_refused(tiny, scheme):
    exporter = Exporter(tiny.model(), calibration=tiny.noise(2), recipe=Recipe(scheme))
    with pytest.raises(ExportError, match="quantizes no layer"):
        exporter.tflite(Precision.INT8)


def test_what_excludes_a_recipe_is_refused(tiny):
    with pytest.raises(UsageError, match="leave --full-integer out"):
        Outputs(full_integer=True, recipe=Recipe())
    with pytest.raises(UsageError, match="used by a recipe alone"):
        Exporter(tiny.model(), ranges={})


def test_ranges_from_outside_are_used_and_recorded(tiny, tmp_path):
    model = tiny.model()
    source = convert_for_quantization(model)
    ranges = find_ranges(source, tiny.noise().tensors(calibration_input(model.input)), Recipe())
    exporter = Exporter(model, recipe=Recipe(), ranges=ranges)
    artifact = write(exporter, Format.TFLITE, tmp_path)
    same = Exporter(model, calibration=tiny.noise(), recipe=Recipe()).tflite(Precision.INT8)
    assert artifact.path.read_bytes() == same
    assert artifact.card.lineage["export"]["calibration"] == {"method": "ranges given"}


def test_the_recipe_says_how_many_pictures_and_how_chosen(tiny):
    model = tiny.model()
    for choice in Choice:
        settings = Calibration(pictures=3, choice=choice)
        exporter = Exporter(model, calibration=tiny.noise(8), recipe=Recipe(calibration=settings))
        exporter.tflite(Precision.INT8)
        lineage = exporter._calibration_lineage()
        assert lineage["pictures"] == 3
    pools = [Calibration(pictures=count, choice=Choice.K_MEANS).pool for count in (5, 200, 3000)]
    assert pools == [50, 1000, 3000]


def test_observed_values_are_those_of_the_float_file(tiny):
    model = tiny.model()
    source = convert_for_quantization(model)
    tensors = list(tiny.noise(4).tensors(calibration_input(model.input)))
    histograms = observe(source, tensors)
    file = TFLiteFile(source)
    scores = histograms[file.outputs[0].name]
    assert scores.counts.sum() + scores.zeros == 4 * tiny.CLASSES
    expected = np.concatenate([model.keras_model.predict(one, verbose=0) for one in tensors])
    assert (scores.low, scores.high) == pytest.approx((expected.min(), expected.max()), abs=1e-5)
    assert features_of(source, tensors).shape == (4, 8)
