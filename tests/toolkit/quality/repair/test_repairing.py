"""A repair goes through its steps in order, keeps the first file that will do, and says so."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mejiro.data.pixels import pixels_only
from mejiro.errors import ExportError, UsageError
from mejiro.export import Outputs
from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.recipe import Method, Scheme
from mejiro.model import Artifact
from mejiro.quality.convert import Scoring
from mejiro.quality.diagnose import diagnose
from mejiro.quality.repair import STEPS, Budget, Means, NotTried, repair
from mejiro.quality.repair.groups import channel_groups
from mejiro.race import Conditions, Ratio
from mejiro.train.finetune import FinetuneSettings
from mejiro.train.pictures import Pictures
from mejiro_runtime.card import Format, Precision, head_path

INT8 = [(Format.TFLITE, Precision.INT8)]
ANY_TIME, NO_TIME = 1e6, 1e-6
LOST = 12.5  # five of forty pictures


@pytest.fixture(scope="module")
def means(labelled, pictures) -> Means:
    return Means(
        scoring=Scoring(labelled, "tints"),
        budget=Budget(LOST, ANY_TIME),
        calibration=pictures,
        conditions=Conditions(rounds=1, frames=1),
        training=FinetuneSettings(1, 1e-4, batch_size=16),
    )


@pytest.fixture(scope="module")
def repaired(broken, means, tmp_path_factory):
    out = tmp_path_factory.mktemp("repaired")
    kinds = [(kind, Precision.INT8) for kind in (Format.TFLITE, Format.ONNX)]
    return repair(broken, kinds, out, means, STEPS), out


@pytest.fixture(scope="module")
def exhausted(broken, means, tmp_path_factory, pictures, labelled):
    """Return a repair that no file is fast enough for, so that all is tried."""
    rows = np.concatenate(list(pictures.tensors(pixels_only(broken.input))))
    truth = np.array([one.label_index for one in labelled], np.int32)
    lessons = Pictures("tints", rows[:24], rows[24:], truth[:24], truth[24:])
    means = replace(means, budget=Budget(60.0, NO_TIME), lessons=lambda: lessons)
    return repair(broken, INT8, tmp_path_factory.mktemp("exhausted"), means, STEPS).record


def test_the_broken_network_is_repaired_by_equalization(repaired):
    result, _ = repaired
    record = result.record
    assert record.float_top1 == 1.0
    assert record.attempts[0].candidate.lost > 20
    assert record.met
    assert record.kept.step == "equalization"
    assert record.kept.lost <= LOST + 1e-9


def test_it_ends_with_the_first_that_will_do(repaired):
    record = repaired[0].record
    assert record.attempts[-1].kept
    assert [one.kept for one in record.attempts].count(True) == 1
    steps = list(dict.fromkeys(one.step for one in record.attempts))
    assert steps == ["plain", "calibration", "equalization"]


def test_both_formats_are_kept_with_their_scores_and_what_was_done(repaired):
    result, out = repaired
    names = {path.name for path in out.iterdir()}
    assert names == {
        "repair.json",
        *(f"tiny-int8.{kind}{end}" for kind in ("tflite", "onnx") for end in ("", ".json")),
    }
    for artifact in result.conversion.artifacts:
        card = Artifact.open(artifact.path).card
        assert 100 * (1 - card.evaluation["top1"]) <= LOST + 1e-9
        assert card.lineage["model"]["repair"] == {
            "done": list(result.record.kept.plan.done),
            "amended": True,
        }
        assert card.lineage["export"]["calibration"]["pictures"] == 40
    assert set(result.record.kept.top1) == {Format.TFLITE, Format.ONNX}


def test_the_record_is_kept_as_json(repaired):
    result, out = repaired
    value = json.loads((out / "repair.json").read_text())
    assert value == json.loads(json.dumps(result.record.to_json(), allow_nan=False))
    assert (value["schema"], value["met"], value["data"]) == (1, True, "tints")
    first, *_, last = value["attempts"]
    assert first["step"] == "plain"
    assert first["time_ratio"] == 1.0
    assert first["done"] == []
    assert last["kept"]
    assert last["points_lost"] <= LOST
    assert last["time_ratio"] > 0
    assert last["recipe"]["calibration"]["method"] in {one.value for one in Method}


def test_diagnose_names_the_layer_that_was_repaired(broken, broken_source, means, tmp_path):
    steps = {"none": lambda bench: iter([NotTried("it is only looked at")])}
    result = repair(broken, INT8, tmp_path, replace(means, budget=Budget(0.0)), steps)
    (artifact,) = result.conversion.artifacts
    found = diagnose(artifact, broken, means.calibration)
    assert found.layers[0].name == "project"


def test_diagnose_refuses_a_file_whose_channels_were_equalized(repaired, broken, pictures):
    artifact, _ = repaired[0].conversion.artifacts
    with pytest.raises(UsageError, match="diagnose the plain int8 file"):
        diagnose(artifact, broken, pictures)


def test_a_file_that_needs_no_repair_gets_none(whole, means, tmp_path):
    means = replace(means, budget=Budget(100.0))
    result = repair(whole, INT8, tmp_path, means, STEPS)
    (attempt,) = result.record.attempts
    assert attempt.step == "plain"
    assert attempt.kept
    assert "repair" not in result.conversion.artifacts[0].card.lineage["model"]


def test_all_steps_are_tried_in_order_when_nothing_is_fast_enough(exhausted):
    steps = list(dict.fromkeys(one.step for one in exhausted.attempts))
    assert steps == ["plain", *STEPS]
    assert not exhausted.met
    verdicts = {one.verdict for one in exhausted.attempts}
    assert any(verdict.startswith("too slow") for verdict in verdicts)


def test_each_step_gives_what_it_says(exhausted):
    words = {one.step: one.candidate.words for one in exhausted.attempts if one.candidate}
    assert words["calibration"].startswith("calibrated by ")
    assert "corrected biases of 9 layers" in words["equalization"]
    assert "absorbed biases of" in words["bias absorption"]
    assert "in float" in words["selective float"]
    assert words["training for int8"] == "trained for int8, 1 epoch on 24 pictures"


def test_what_cannot_be_tried_is_said_with_its_reason(exhausted):
    (swap,) = [one for one in exhausted.attempts if one.step == "activation swap"]
    assert swap.candidate is None
    assert swap.verdict == "not tried: it has no swish and no ReLU6"


def test_the_best_is_kept_when_nothing_will_do(exhausted):
    (kept,) = [one for one in exhausted.attempts if one.kept]
    tried = [one.candidate for one in exhausted.attempts if one.candidate]
    assert kept.candidate.lost == min(one.lost for one in tried)
    assert kept.verdict.endswith("but the best of all")


def test_float_layers_are_written_as_rules_of_a_recipe(exhausted):
    plans = [
        one.candidate.plan
        for one in exhausted.attempts
        if one.candidate and one.step == "selective float"
    ]
    assert {scheme for plan in plans for _, scheme in plan.recipe.layers} == {Scheme.FLOAT}


def test_nothing_is_built_on_what_is_too_slow(broken, means, tmp_path, monkeypatch):
    """Here the file with the fewest points lost takes ten times as long as the plain one."""
    seen = []

    def equalizes(bench):
        yield from STEPS["equalization"](bench)
        seen.append(bench.best.step)

    pace = Ratio(10.0, 9.0, 11.0)
    monkeypatch.setattr("mejiro.quality.repair.bench.time_against", lambda *files: pace)
    budget = Budget(0.0, 2.0)
    record = repair(
        broken, INT8, tmp_path, replace(means, budget=budget), {"equalization": equalizes}
    ).record
    lost = [one.candidate.lost for one in record.attempts if one.candidate]
    assert lost[1] < lost[0]
    assert seen == ["plain"]
    assert record.kept.step == "plain"


def test_without_pictures_to_train_on_there_is_no_training(broken, means, tmp_path):
    steps = {"training for int8": STEPS["training for int8"]}
    record = repair(broken, INT8, tmp_path, replace(means, budget=Budget(0.0)), steps).record
    assert record.attempts[-1].verdict.startswith("not tried: there are no pictures to train on")


def test_a_step_that_cannot_be_exported_does_not_end_the_repair(broken, means, tmp_path):
    def impossible(bench):
        raise ExportError("no such thing")
        yield

    steps = {"impossible": impossible, "equalization": STEPS["equalization"]}
    record = repair(broken, INT8, tmp_path, means, steps).record
    assert record.attempts[1].verdict == "not tried: no such thing"
    assert record.met


def test_features_stay_what_they_are(broken, means, tmp_path):
    """What comes out is no channel to be scaled."""
    means = replace(means, outputs=Outputs(with_features=True))
    steps = {"equalization": STEPS["equalization"]}
    result = repair(broken, INT8, tmp_path, means, steps)
    (artifact,) = result.conversion.artifacts
    assert result.record.kept.step == "equalization"
    assert artifact.card.features == (8, 8, 16)
    assert head_path(artifact.path).exists()
    groups = channel_groups(TFLiteFile(result.record.kept.plan.source))
    assert len(groups) == 6


def test_float_files_are_written_beside_it(whole, means, tmp_path):
    kinds = [*INT8, (Format.TFLITE, Precision.FP32)]
    result = repair(whole, kinds, tmp_path, means, {})
    names = [one.card.file for one in result.conversion.artifacts]
    assert names == ["tiny-int8.tflite", "tiny-fp32.tflite"]
    assert result.conversion.reference in result.conversion.artifacts


def test_what_cannot_be_repaired_is_refused_before_anything_is_written(whole, means, tmp_path):
    with pytest.raises(UsageError, match="only int8 files are repaired"):
        repair(whole, [(Format.TFLITE, Precision.FP32)], tmp_path / "out", means, STEPS)
    full = replace(means, outputs=Outputs(full_integer=True))
    with pytest.raises(UsageError, match="leave --full-integer out"):
        repair(whole, INT8, tmp_path / "out", full, STEPS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("limits", [(-1, 1), (101, 1), (1, 0), (1, float("inf"))])
def test_a_budget_that_makes_no_sense_is_refused(limits):
    with pytest.raises(UsageError):
        Budget(*limits)
