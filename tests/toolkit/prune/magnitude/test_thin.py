"""Test which weights magnitude pruning puts to zero, when, and that they stay so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mejiro.data.augmentation import Augmentation
from mejiro.data.calibration import calibration_from_folder
from mejiro.data.dataset import read_dataset
from mejiro.errors import UsageError
from mejiro.export import export
from mejiro.export.sparse import convert_sparse
from mejiro.model import FloatModel
from mejiro.prune.magnitude import MagnitudeSettings, Pattern, Scope, Spare, parse_pattern, thin
from mejiro.prune.magnitude.masks import choose_masks, layer_adapted
from mejiro.prune.magnitude.schedule import is_update, sparsity_at
from mejiro.train.finetune import FinetuneSettings
from mejiro.train.pictures import labelled_rows
from mejiro.zoo import load_float_model, save_float_model
from mejiro_runtime.card import Format, Precision

CHOSEN = ("expand", "project", "hidden")
KERNELS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 9), st.integers(1, 5)),
    elements=st.floats(-4, 4, width=32),
)
SHARES = st.floats(0.01, 0.99)


def _zeros(model: FloatModel, layer: str) -> float:
    kernel = model.keras_model.get_layer(layer).kernel.numpy()
    return float((kernel == 0).mean())


@given(kernels=st.lists(KERNELS, min_size=1, max_size=3), sparsity=SHARES)
def test_the_smallest_weights_of_each_layer_go(
    kernels: list[NDArray[Any]], sparsity: float
) -> None:
    for kernel, kept in zip(kernels, choose_masks(kernels, sparsity, Scope.LAYER), strict=True):
        assert (~kept).sum() == min(int(sparsity * kernel.size), kernel.size - 1)
        if not kept.all():
            assert np.abs(kernel[~kept]).max() <= np.abs(kernel[kept]).min()


@given(kernels=st.lists(KERNELS, min_size=2, max_size=4), sparsity=SHARES)
def test_a_global_threshold_has_the_share_of_all_and_the_order_within_each(
    kernels: list[NDArray[Any]], sparsity: float
) -> None:
    masks = choose_masks(kernels, sparsity, Scope.GLOBAL)
    total = sum(kernel.size for kernel in kernels)
    assert sum(int((~kept).sum()) for kept in masks) == min(int(sparsity * total), total - 1)
    for kernel, kept in zip(kernels, masks, strict=True):
        if kept.any() and not kept.all():
            assert np.abs(kernel[~kept]).max() <= np.abs(kernel[kept]).min()


def test_layers_are_compared_by_what_they_keep() -> None:
    """Ten times the weights are ten times the weights, and no reason to lose others."""
    small = np.arange(1, 9, dtype=np.float32).reshape(8, 1)
    np.testing.assert_allclose(layer_adapted(small), layer_adapted(10 * small))
    assert layer_adapted(small)[0, 0] == pytest.approx(1 / (np.arange(1, 9) ** 2).sum())
    assert layer_adapted(small)[-1, 0] == 1
    one, other = choose_masks([small, 8 * small], 0.5, Scope.GLOBAL)
    np.testing.assert_array_equal(one, other)


@given(kernel=KERNELS, pattern=st.sampled_from([Pattern(2, 4), Pattern(1, 4), Pattern(1, 2)]))
def test_a_pattern_keeps_n_of_each_m_inputs(kernel: NDArray[Any], pattern: Pattern) -> None:
    kept = pattern.spared(kernel)
    for start in range(0, kernel.shape[-2], pattern.group):
        part = np.s_[..., start : start + pattern.group, :]
        group, keeps = np.abs(kernel[part]), kept[part]
        assert (keeps.sum(axis=-2) == min(pattern.keep, group.shape[-2])).all()
        least = np.where(keeps, group, np.inf).min(axis=-2)
        most = np.where(keeps, -np.inf, group).max(axis=-2)
        assert (most <= least).all()


@given(kernel=KERNELS, share=SHARES)
def test_on_the_way_to_a_pattern_nothing_goes_that_it_keeps(
    kernel: NDArray[Any], share: float
) -> None:
    pattern = Pattern(2, 4)
    (part,) = choose_masks([kernel], share * pattern.sparsity, Scope.LAYER, pattern)
    (whole,) = choose_masks([kernel], pattern.sparsity, Scope.LAYER, pattern)
    np.testing.assert_array_equal(whole, pattern.spared(kernel))
    assert (part | ~whole).all()


@given(
    initial=st.floats(0, 0.4), begin=st.floats(0, 0.4), end=st.floats(0.4, 1),
    steps=st.integers(1, 300), updates=st.integers(1, 50),
)  # fmt: skip
def test_the_schedule_rises_to_its_end(
    initial: float, begin: float, end: float, steps: int, updates: int
) -> None:
    settings = MagnitudeSettings(0.8, initial=initial, begin=begin, end=end, updates=updates)
    shares = [sparsity_at(settings, step, steps) for step in range(1, steps + 1)]
    assert all(initial - 1e-9 <= share <= 0.8 for share in shares)
    assert shares == sorted(shares)
    taken = [step for step in range(1, steps + 1) if is_update(settings, step, steps)]
    assert sparsity_at(settings, taken[-1], steps) == 0.8
    assert taken[-1] == max(1, int(np.ceil(end * steps - 1e-9)))


def test_the_schedule_is_the_papers() -> None:
    settings = MagnitudeSettings(0.8, begin=0, end=1)
    for step in (1, 30, 99):
        assert sparsity_at(settings, step, 100) == pytest.approx(0.8 - 0.8 * (1 - step / 100) ** 3)


def test_all_but_what_is_spared_is_thinned(tiny: FloatModel) -> None:
    before = [weight.copy() for weight in tiny.keras_model.get_weights()]
    found = thin(tiny, MagnitudeSettings(0.75, scope=Scope.LAYER))
    assert tuple(layer.layer for layer in found.layers if layer.thinned) == CHOSEN
    for layer in CHOSEN:
        assert _zeros(found.model, layer) == 0.75
    for layer in ("stem", "depthwise", "classifier"):
        assert _zeros(found.model, layer) == 0
    assert found.sparsity == 0.75
    assert found.overall < 0.75
    assert found.model.lineage["pruned"][0]["sparsity"] == 0.75
    for one, other in zip(before, tiny.keras_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    whole = thin(tiny, MagnitudeSettings(0.5, scope=Scope.LAYER, spare=()))
    assert all(layer.thinned for layer in whole.layers)
    assert _zeros(whole.model, "stem") == 0.5


def test_zeros_grow_while_training_and_are_there_in_the_end(
    tiny: FloatModel, tints: Path, tmp_path: Path
) -> None:
    rows = labelled_rows(read_dataset(str(tints), val=0.3), tiny.input, tmp_path)
    training = FinetuneSettings(epochs=4, rate=0.01, batch_size=8, augmentation=Augmentation())
    found = thin(tiny, MagnitudeSettings(0.75, scope=Scope.LAYER), pictures=rows, training=training)
    for layer in CHOSEN:
        assert _zeros(found.model, layer) == 0.75
        old = tiny.keras_model.get_layer(layer).kernel.numpy()
        new = found.model.keras_model.get_layer(layer).kernel.numpy()
        assert (old[new != 0] != new[new != 0]).any()
    (record,) = found.model.lineage["finetuned"]
    assert record["teacher"] == "tiny"
    assert record["kept_epoch"] >= 2  # none before the schedule's end


def test_masks_survive_saving_and_int8(tiny: FloatModel, tints: Path, tmp_path: Path) -> None:
    """Weights are quantized symmetrically by channel, so what is 0 in float is 0 in int8."""
    found = thin(tiny, MagnitudeSettings(0.75, scope=Scope.LAYER))
    save_float_model(found.model, tmp_path / "model", beside={"pruning.json": {"schema": 1}})
    assert (tmp_path / "model" / "pruning.json").is_file()
    model = load_float_model(tmp_path / "model")
    artifact = export(
        model,
        format=Format.TFLITE,
        precision=Precision.INT8,
        out=tmp_path,
        calibration=calibration_from_folder(tints, limit=6),
    )
    for layer in CHOSEN:
        kernel = model.keras_model.get_layer(layer).kernel.numpy()
        assert (kernel == 0).mean() == 0.75
        stored = _int8_weights(artifact.path, kernel.shape[-1])
        transposed = np.moveaxis(kernel, -1, 0).reshape(kernel.shape[-1], -1)
        assert (stored[transposed == 0] == 0).all()
        # What is small beside its channel's largest may become 0 too, but hardly anything does.
        assert (stored == 0).mean() < 0.8


def _int8_weights(path: Path, outputs: int) -> NDArray[Any]:
    """Return the weights (outputs, inputs) of the one layer of 1x1 with so many outputs."""
    from ai_edge_litert.interpreter import Interpreter

    # The plain kernels: XNNPACK would keep weights of its own, in another order.
    interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True)
    for detail in interpreter.get_tensor_details():
        shape = tuple(detail["shape"])
        flat = len(shape) == 2 or (len(shape) == 4 and shape[1:3] == (1, 1))
        scales = detail["quantization_parameters"]["scales"]
        if detail["dtype"] is np.int8 and flat and shape[0] == outputs and len(scales) == outputs:
            return np.array(interpreter.get_tensor(detail["index"])).reshape(outputs, -1)
    raise AssertionError(f"no weights of {outputs} outputs")


def test_the_sparse_encoding_gives_the_same_answers(tiny: FloatModel, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    found = thin(tiny, MagnitudeSettings(0.9)).model
    plain = export(found, format=Format.TFLITE, precision=Precision.FP32, out=tmp_path)
    answers = []
    pixels = np.random.default_rng(2).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    for data in (plain.path.read_bytes(), convert_sparse(found)):
        interpreter = Interpreter(model_content=data)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
        interpreter.invoke()
        answers.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)


def test_what_makes_no_sense_is_refused() -> None:
    for text in ("4:2", "2", "0:4", "2:4:8", "2:100", "a:b"):
        with pytest.raises(UsageError):
            parse_pattern(text)
    assert parse_pattern("2:4") == Pattern(2, 4)
    settings = MagnitudeSettings()
    wrong: list[dict[str, Any]] = [
        {"sparsity": 0.0},
        {"sparsity": 1.0},
        {"initial": 0.9},
        {"begin": 0.6},
        {"updates": 0},
        {"pattern": Pattern(2, 4)},
        {"sparsity": 0.5, "pattern": Pattern(2, 4), "spare": (Spare.FIRST,)},
    ]
    for changes in wrong:
        with pytest.raises(UsageError):
            replace(settings, **changes)
