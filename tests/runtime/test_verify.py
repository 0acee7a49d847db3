"""Verification names the first stage that differs, and nothing that does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import Format
from mejiro_runtime.errors import BundleError
from mejiro_runtime.golden import array_name, read_arrays
from mejiro_runtime.kernels import NumpyKernel
from mejiro_runtime.model import Model, open_model
from mejiro_runtime.preprocess import Preprocessor
from mejiro_runtime.selection import runnable_cards
from mejiro_runtime.types import PixelOrder
from mejiro_runtime.verify import Stage, Verification, verify


def check(folder: Path, handmade: Any, **changes: Any) -> Verification:
    """Verify a handmade bundle; `changes` are made to the simulated engine first."""
    bundle = open_bundle(folder)
    backend = handmade.backend()
    for name, value in changes.items():
        setattr(backend, name, value)
    return verify(bundle, Model(bundle.card(), backend))


def alter(folder: Path, name: str, change: Any) -> None:
    """Change the golden arrays in `name`, as one who can write checksums would."""
    arrays = read_arrays(folder / name, 3)
    changed = change(arrays) or arrays
    np.savez(folder / name, **{array_name(i): array for i, array in enumerate(changed)})


def test_a_bundle_as_written_passes(handmade) -> None:
    verdict = check(handmade.write(), handmade)
    assert verdict.passed
    assert verdict.difference is None
    assert verdict.largest_output == 0.0
    assert verdict.frames == 3
    value = json.loads(json.dumps(verdict.to_json(), allow_nan=False))
    assert value["passed"] is True
    assert value["difference"] is None
    assert value["tolerance"] == 0.01


def test_altered_tensors_are_a_difference_of_preprocessing(handmade) -> None:
    folder = handmade.write()

    def darken(arrays: list[Any]) -> None:
        arrays[1][0, 2, 3, 1] -= 5
        arrays[1][0, 0, 0, 0] += 2

    alter(folder, "golden/inputs.npz", darken)
    handmade.seal(folder)
    verdict = check(folder, handmade)
    assert not verdict.passed
    found = verdict.difference
    assert found is not None
    assert (found.stage, found.frame) == (Stage.PREPROCESS, 1)
    assert (found.values, found.total, found.max_abs) == (2, 8 * 8 * 3, 5.0)
    assert "preprocess of golden frame 1: 2 of 192 values differ, the largest by 5" in str(found)


def test_swapped_channels_are_a_difference_of_preprocessing(handmade) -> None:
    bundle = handmade.open()
    card = replace(bundle.card(), input=replace(handmade.spec, order=PixelOrder.BGR))
    verdict = verify(bundle, Model(card, handmade.backend()))
    assert verdict.difference is not None
    assert verdict.difference.stage is Stage.PREPROCESS
    # The engine was given the recorded tensors, so its own answers are right all the same.
    assert verdict.largest_output == 0.0


class OffByOne(NumpyKernel):
    """Simulate a resize that rounds otherwise in one pixel."""

    name = "off by one"

    def linear_exact(self, pixels: Any, width: int, height: int) -> Any:
        made = super().linear_exact(pixels, width, height).copy()
        made[0, 0, 0] ^= 1
        return made


def test_another_kernel_is_a_difference_of_preprocessing(handmade) -> None:
    bundle = handmade.open()
    model = Model(bundle.card(), handmade.backend())
    model.preprocessor = Preprocessor(handmade.spec, kernel=OffByOne())
    verdict = verify(bundle, model)
    assert verdict.kernel == "off by one"
    assert verdict.difference is not None
    assert verdict.difference.stage is Stage.PREPROCESS
    assert verdict.difference.values == 1


def test_other_outputs_are_a_difference_of_inference(handmade) -> None:
    def bend(tensor: Any) -> Any:
        scores = handmade.backend.shares(tensor)
        return scores * np.float32(0.95)

    verdict = check(handmade.write(), handmade, answer=bend)
    assert verdict.difference is not None
    assert (verdict.difference.stage, verdict.difference.frame) == (Stage.INFER, 0)
    assert verdict.difference.values == 3
    assert 0.01 < verdict.difference.max_abs <= verdict.largest_output < 0.05


def test_a_difference_within_the_tolerance_is_told_and_allowed(handmade) -> None:
    def bend(tensor: Any) -> Any:
        return handmade.backend.shares(tensor) + np.float32(0.004)

    verdict = check(handmade.write(), handmade, answer=bend)
    assert verdict.passed
    assert 0.003 < verdict.largest_output < 0.005


def test_an_engine_other_than_the_recorded_one_has_the_tolerance_of_any(handmade) -> None:
    folder = handmade.write()

    def record_elsewhere(value: dict[str, Any]) -> None:
        (expected,) = value["golden"]["expected"]
        (general,) = expected["tolerances"]
        expected["tolerances"] = [{**general, "backend": "litert", "max_abs": 0.001}, general]

    handmade.seal(folder, record_elsewhere)
    assert check(folder, handmade).tolerance.max_abs == 0.001

    def made_by_another(value: dict[str, Any]) -> None:
        value["golden"]["expected"][0]["made_with"] = {"engine": "tflite-runtime"}

    handmade.seal(folder, made_by_another)
    assert check(folder, handmade).tolerance.max_abs == 0.01


def test_another_label_within_the_tolerance_is_a_difference_of_labels(handmade) -> None:
    folder = handmade.write()

    def tie(arrays: list[Any]) -> list[Any]:
        return [np.array([0.5, 0.499, 0.001], np.float32)] * 3

    alter(folder, "golden/outputs.npz", tie)
    handmade.seal(folder)
    answer = np.array([[0.499, 0.5, 0.001]], np.float32)
    verdict = check(folder, handmade, answer=lambda tensor: answer)
    assert verdict.difference is not None
    assert verdict.difference.stage is Stage.LABEL
    assert str(verdict.difference) == "label of golden frame 0: red became vert clair"


def test_the_first_stage_wins_over_the_first_frame(handmade) -> None:
    folder = handmade.write()
    alter(folder, "golden/inputs.npz", lambda arrays: [*arrays[:2], arrays[2] + np.uint8(1)])
    alter(folder, "golden/outputs.npz", lambda arrays: [arrays[0] * 0.5, *arrays[1:]])
    handmade.seal(folder)
    verdict = check(folder, handmade)
    assert verdict.difference is not None
    assert (verdict.difference.stage, verdict.difference.frame) == (Stage.PREPROCESS, 2)


UNFIT = {
    "tensors of another shape": ("golden/inputs.npz", lambda a: [x[:, :7] for x in a]),
    "tensors of another type": ("golden/inputs.npz", lambda a: [x.astype(np.int16) for x in a]),
    "outputs of another length": ("golden/outputs.npz", lambda a: [x[:2] for x in a]),
    "outputs of another type": ("golden/outputs.npz", lambda a: [x.astype(str) for x in a]),
    "outputs that are not finite": ("golden/outputs.npz", lambda a: [x * np.nan for x in a]),
}


@pytest.mark.parametrize("what", UNFIT)
def test_golden_arrays_that_do_not_fit_are_refused(handmade, what: str) -> None:
    folder = handmade.write()
    alter(folder, *UNFIT[what])
    handmade.seal(folder)
    with pytest.raises(BundleError, match=r"golden frame 0 does not fit colours\.tflite"):
        check(folder, handmade)


def test_an_artifact_without_golden_outputs_is_refused(handmade) -> None:
    folder = handmade.write()
    handmade.seal(folder, lambda value: value["golden"]["expected"].clear())
    with pytest.raises(BundleError, match=r"no golden outputs for colours\.tflite"):
        check(folder, handmade)


def test_a_backend_without_a_tolerance_is_refused(handmade) -> None:
    folder = handmade.write()

    def only_riscv(value: Any) -> None:
        value["golden"]["expected"][0]["tolerances"][0]["machine"] = "riscv64"

    handmade.seal(folder, only_riscv)
    with pytest.raises(BundleError, match="no golden tolerance for litert"):
        check(folder, handmade)


def test_the_toolkits_bundle_verifies_on_every_engine_here(real_bundle) -> None:
    bundle = open_bundle(real_bundle)
    cards = runnable_cards(bundle)
    assert cards
    for card in cards:
        with open_model(bundle.model_path(card), card) as model:
            verdict = verify(bundle, model)
        assert verdict.passed, str(verdict.difference)
        assert verdict.largest_output <= verdict.tolerance.max_abs


def test_a_real_model_with_swapped_channels_fails_at_preprocessing(real_bundle) -> None:
    bundle = open_bundle(real_bundle)
    for card in runnable_cards(bundle):
        swapped = replace(card, input=replace(card.input, order=PixelOrder.BGR))
        with open_model(bundle.model_path(card), swapped) as model:
            verdict = verify(bundle, model)
        assert verdict.difference is not None
        assert verdict.difference.stage is Stage.PREPROCESS
        assert verdict.difference.values > verdict.difference.total // 10
    assert {card.format for card in runnable_cards(bundle)} <= set(Format)
