"""A diagnosis names the layer that was broken on purpose, tells why, and refuses what it must."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mejiro.data.calibration import calibration_from_folder
from mejiro.errors import QualityError, UsageError
from mejiro.quality.diagnose import CauseKind, diagnose, examples_from_folder
from mejiro.report.diagnosis.findings import EXACT_DB
from mejiro_runtime.card import Format, Precision
from mejiro_runtime.types import Label

LAYERS = ("stem", "depthwise", "project", "expand", "mix", "sum", "swish", "pool", "tell")


@pytest.fixture(scope="module")
def found(broken_file, broken, pictures, folder):
    examples = examples_from_folder(folder, broken.labels, limit=100)
    return diagnose(broken_file, broken, pictures, examples=examples, alone=None)


@pytest.fixture(scope="module")
def sound(whole_file, whole, pictures):
    return diagnose(whole_file, whole, pictures)


def test_the_broken_layer_comes_first(found):
    assert found.layers[0].name == "project"
    assert found.layers[0].spread.widest == 3


def test_its_cause_is_the_huge_channel(found):
    (cause,) = [one for one in found.layers[0].causes if one.kind is CauseKind.HUGE_CHANNEL]
    assert cause.words.startswith("channel 3 reaches")
    assert 30 < found.layers[0].spread.channels < 1000


def test_the_plain_ratio_would_not_have_told(found):
    """The huge channel itself is told well, and outshouts the others."""
    layer = found.layers[0]
    assert layer.noise.plain > 30
    assert layer.noise.heard < 15


def test_what_it_forces_on_the_next_layer_is_charged_to_it(found):
    """Of six channels the weights that read the huge one round to nothing, which costs more."""
    (expand,) = [layer for layer in found.layers if layer.name == "expand"]
    (cause,) = [one for one in expand.causes if one.kind is CauseKind.WEIGHTS]
    assert "channel 3 of its input" in cause.words
    assert found.layers[0].noise.forced == pytest.approx(expand.noise.weights, abs=0.5)


def test_later_layers_are_said_to_have_inherited_their_error(found):
    (tell,) = [layer for layer in found.layers if layer.name == "tell"]
    assert CauseKind.INHERITED in {cause.kind for cause in tell.causes}
    assert tell.noise.own > found.layers[0].noise.own + 20


def test_a_sound_network_has_no_such_layer(sound):
    kinds = {cause.kind for layer in sound.layers for cause in layer.causes}
    assert CauseKind.HUGE_CHANNEL not in kinds
    assert sound.layers[0].noise.own > 25


def test_breaking_does_not_change_what_later_layers_add(found, sound):
    mine = {layer.name: layer.noise.own for layer in sound.in_order}
    other = {layer.name: layer.noise.own for layer in found.in_order}
    for name in ("mix", "sum", "tell"):
        assert other[name] == pytest.approx(mine[name], abs=0.5)


def test_all_layers_are_compared_in_order(sound):
    names = list(dict.fromkeys(layer.name for layer in sound.in_order))
    assert [name for name in names if name in LAYERS] == list(LAYERS)
    assert sound.unmatched == ()
    assert [layer.place for layer in sound.in_order] == list(range(len(sound.layers)))


def test_layers_are_ranked_by_their_own_error(found):
    own = [layer.noise.own for layer in found.layers]
    assert own == sorted(own)


def test_the_first_layer_is_given_exact_pixels(sound):
    assert sound.in_order[0].noise.given == EXACT_DB


def test_each_layer_is_scored_alone(found):
    assert found.scored.pictures == 12
    assert found.scored.float_top1 is not None
    costs = {layer.name: layer.alone for layer in found.layers}
    assert costs["expand"].agreement < 1
    assert costs["stem"].agreement == 1


def test_nothing_is_scored_unless_asked_for(sound):
    assert sound.scored is None
    assert {layer.alone for layer in sound.layers} == {None}


def test_it_goes_into_json(found):
    value = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert value["layers"][0]["name"] == "project"
    assert value["scored"]["pictures"] == 12


def test_a_calibration_that_saw_too_little_is_told(whole, write_file, pictures, tmp_path):
    rng = np.random.default_rng(1)
    for index in range(3):
        dark = rng.integers(0, 25, (20, 20, 3)).astype(np.uint8)
        assert cv2.imwrite(str(tmp_path / f"{index}.png"), dark)
    file = write_file(whole, calibration=calibration_from_folder(tmp_path))
    result = diagnose(file, whole, pictures)
    cut = [
        layer
        for layer in result.layers
        if CauseKind.SATURATION in {cause.kind for cause in layer.causes}
    ]
    assert cut
    assert all(layer.spread.saturated >= 0.001 for layer in cut)


def test_pictures_without_labels_are_held_against_float(whole_file, whole, folder, pictures):
    inside = folder / "class 0"
    examples = examples_from_folder(inside, whole.labels, limit=3)
    assert not examples.labelled
    result = diagnose(whole_file, whole, pictures, examples=examples, alone=2)
    assert result.scored.top1 is None
    assert result.scored.pictures == 3
    assert [layer.alone is not None for layer in result.layers[:3]] == [True, True, False]


@pytest.mark.parametrize(
    ("format", "precision", "words"),
    [(Format.ONNX, Precision.INT8, "the .tflite"), (Format.TFLITE, Precision.FP32, "fp32")],
)
def test_other_files_are_refused(whole, write_file, pictures, format, precision, words):
    file = write_file(whole, format, precision)
    with pytest.raises(UsageError, match=words):
        diagnose(file, whole, pictures)


def test_another_model_is_refused(whole_file, whole, pictures):
    labels = tuple(Label(label.index, f"other {label.index}") for label in whole.labels)
    with pytest.raises(QualityError, match="different labels"):
        diagnose(whole_file, replace(whole, labels=labels), pictures)
    larger = replace(whole, input=replace(whole.input, height=20))
    with pytest.raises(QualityError, match="takes pictures of"):
        diagnose(whole_file, larger, pictures)
