"""Test training a classifier on as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mejiro.data.augmentation import Augmentation, Flip
from mejiro.data.calibration import calibration_from_folder
from mejiro.data.dataset import Dataset
from mejiro.errors import DataError, UsageError
from mejiro.model import FloatModel
from mejiro.train.distillation import Distillation
from mejiro.train.events import Events
from mejiro.train.finetune import FinetuneSettings, Mark, copied, finetune
from mejiro.train.history import EpochRecord
from mejiro.train.masks import Masks
from mejiro.train.pictures import Pictures, labelled_rows, unlabelled_rows
from mejiro.train.settings import BatchNorm, Optimizer
from mejiro.zoo import load_float_model

QUICK = FinetuneSettings(epochs=3, rate=0.02, batch_size=8, augmentation=Augmentation())


@pytest.fixture(scope="module")
def trained(finished: Path) -> FloatModel:
    """Return the model that a run made; only to be copied."""
    return load_float_model(finished / "model")


@pytest.fixture(scope="module")
def rows(
    trained: FloatModel, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Pictures:
    return labelled_rows(dataset, trained.input, tmp_path_factory.mktemp("pixels"))


def _spoilt(model: FloatModel) -> FloatModel:
    """Return a copy that has forgotten how its features speak for the classes."""
    model = copied(model)
    classifier = model.keras_model.get_layer("classifier")
    classifier.kernel.assign(np.zeros(classifier.kernel.shape))
    classifier.bias.assign(np.zeros(classifier.bias.shape))
    return model


def _weights(model: FloatModel) -> list[NDArray[Any]]:
    return [np.array(weight) for weight in model.keras_model.get_weights()]


def _answers(model: FloatModel, rows: NDArray[Any]) -> NDArray[Any]:
    values = rows * np.float32(model.input.scale[0]) + np.float32(model.input.offset[0])
    found: NDArray[Any] = np.asarray(model.keras_model(values.astype(np.float32)))
    return found


def test_it_learns_from_labels_and_says_so(trained: FloatModel, rows: Pictures) -> None:
    model = _spoilt(trained)
    found: list[EpochRecord] = []
    done = finetune(model, rows, replace(QUICK, epochs=12), events=Events(epoch=found.append))
    assert done.keras_model is model.keras_model
    assert [record.epoch for record in found] == list(range(1, 13))
    answers = _answers(done, rows.val)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)  # the softmax is there again
    right = float((answers.argmax(axis=1) == rows.val_truth).mean())
    (record,) = done.lineage["finetuned"]
    assert record["labels"]
    assert record["teacher"] is None
    assert right == pytest.approx(record["val_accuracy"])
    assert right == max(one.val_accuracy for one in found)
    assert right > 0.8


def test_the_same_seed_gives_the_same_weights(trained: FloatModel, rows: Pictures) -> None:
    settings = replace(QUICK, epochs=1, augmentation=Augmentation(flip=Flip.HORIZONTAL, shift=0.1))
    one, other = (finetune(_spoilt(trained), rows, settings) for _ in range(2))
    for first, second in zip(_weights(one), _weights(other), strict=True):
        np.testing.assert_array_equal(first, second)


def test_batch_normalization_is_held_unless_told_otherwise(
    trained: FloatModel, rows: Pictures
) -> None:
    for kind in BatchNorm:
        settings = replace(QUICK, epochs=1, batch_norm=kind, keep_from=1)
        done = finetune(copied(trained), rows, settings)
        before, after = (
            model.keras_model.get_layer("stem_bn").get_weights() for model in (trained, done)
        )
        same = all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
        assert same == (kind is BatchNorm.FROZEN)


def test_a_teacher_alone_is_enough(trained: FloatModel, rows: Pictures, dataset: Dataset) -> None:
    given = unlabelled_rows(calibration_from_folder(dataset.root), trained.input)
    assert given.train.dtype == np.uint8
    assert len(given.val) == round(0.2 * (len(given.val) + len(given.train)))
    done = finetune(_spoilt(trained), given, QUICK, teacher=trained)
    (record,) = done.lineage["finetuned"]
    assert not record["labels"]
    assert record["teacher"] == trained.name
    alike = _answers(done, rows.val).argmax(axis=1) == _answers(trained, rows.val).argmax(axis=1)
    assert alike.mean() > 0.8


def test_a_teacher_with_another_normalization_sees_the_same_pixels(
    trained: FloatModel, rows: Pictures
) -> None:
    """The stem of the one that is taught takes twice the values, so both answer alike."""
    student = copied(trained)
    stem = student.keras_model.get_layer("stem")
    stem.kernel.assign(stem.kernel / 2)
    spec = replace(
        student.input,
        scale=tuple(2 * value for value in student.input.scale),
        offset=tuple(2 * value for value in student.input.offset),
    )
    losses: list[float] = []
    unlabelled = replace(rows, train_truth=None, val_truth=None)
    finetune(
        replace(student, input=spec),
        unlabelled,
        replace(QUICK, epochs=1, rate=1e-9),
        teacher=trained,
        events=Events(epoch=lambda record: losses.append(record.val_loss)),
    )
    assert losses[0] == pytest.approx(0, abs=1e-5)


def test_weights_that_were_best_before_stay(trained: FloatModel, rows: Pictures) -> None:
    """Nothing that a rate far too great makes of the network is better than it was."""
    model = copied(trained)
    finetune(model, replace(rows, train_truth=None, val_truth=None),
             replace(QUICK, epochs=1, rate=5.0), teacher=trained)  # fmt: skip
    for before, after in zip(_weights(trained), _weights(model), strict=True):
        np.testing.assert_array_equal(before, after)


def test_masks_hold_and_the_hook_may_change_them(trained: FloatModel, rows: Pictures) -> None:
    model = copied(trained)
    kernel = model.keras_model.get_layer("maps").kernel
    masks, marks = Masks([kernel]), []
    late = np.arange(kernel.numpy().size).reshape(kernel.shape) % 2

    def after_step(mark: Mark) -> None:
        marks.append(mark)
        if mark.step == mark.steps // 2:
            masks.set({0: late})

    settings = replace(QUICK, epochs=2, keep_from=1.0, optimizer=Optimizer(average=0.5))
    finetune(model, rows, settings, after_step=after_step, masks=masks)
    assert [mark.step for mark in marks] == list(range(1, marks[0].steps + 1))
    np.testing.assert_array_equal(kernel.numpy() == 0, late == 0)
    np.testing.assert_array_equal(masks.get(0), late == 1)


@pytest.mark.parametrize("ending", ["layer", "activation", "function", "reshaped", "logits"])
def test_any_softmax_is_found(keras: Any, rows: Pictures, ending: str) -> None:
    from mejiro.train.logits import answering_logits
    from mejiro_runtime.card import Scores

    keras.utils.set_random_seed(1)
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = layers.AveragePooling2D(16)(inputs)
    activation = "softmax" if ending in ("activation", "reshaped") else None
    x = layers.Conv2D(3, 1, activation=activation)(x)
    x = layers.Reshape((3,))(x)
    if ending == "layer":
        x = layers.Softmax()(x)
    elif ending == "function":
        x = keras.ops.softmax(x)
    scores = Scores.LOGITS if ending == "logits" else Scores.PROBABILITIES
    model = FloatModel("end", keras.Model(inputs, x), None, (), scores)  # type: ignore[arg-type]
    values = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
    usual = np.asarray(model.keras_model(values))
    with answering_logits(model) as network:
        logits = np.asarray(network(values))
    exponents = np.exp(logits)
    expected = logits if ending == "logits" else exponents / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(usual, expected, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(model.keras_model(values)), usual)


def test_what_cannot_be_learnt_from_is_refused(trained: FloatModel, rows: Pictures) -> None:
    unlabelled = replace(rows, train_truth=None, val_truth=None)
    with pytest.raises(UsageError, match="nothing to learn"):
        finetune(trained, unlabelled, QUICK)
    with pytest.raises(UsageError, match="cannot teach itself"):
        finetune(trained, unlabelled, QUICK, teacher=trained)
    wider = replace(trained, input=replace(trained.input, height=32))
    with pytest.raises(UsageError, match="same pictures"):
        finetune(copied(trained), unlabelled, QUICK, teacher=wider)
    more = replace(rows, train_truth=np.full(len(rows.train), 7, np.int32))
    with pytest.raises(UsageError, match="more classes"):
        finetune(trained, more, QUICK)
    with pytest.raises(DataError, match="on one side"):
        replace(rows, val_truth=None)
    for changes in ({"share": 0.0}, {"share": 1.5}, {"temperature": 0.0}):
        with pytest.raises(UsageError):
            Distillation(**changes)
