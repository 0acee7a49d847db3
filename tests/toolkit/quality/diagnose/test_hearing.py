"""Channels are heard as strongly as the weights that read them, through sums, gates and pools."""

from __future__ import annotations

import numpy as np
import pytest

from mejiro.data.calibration import CalibrationSet
from mejiro.quality.diagnose.comparison import Comparison, compare
from mejiro.quality.diagnose.hearing import Hearing
from mejiro.quality.diagnose.names import keras_names, layer_name


@pytest.fixture(scope="module")
def comparison(whole, whole_file, write_file, pictures: CalibrationSet) -> Comparison:
    from mejiro_runtime.card import Format, Precision

    floats = write_file(whole, Format.TFLITE, Precision.FP32)
    return compare(whole_file.path, floats.path, pictures, whole_file.card.input)


@pytest.fixture(scope="module")
def places(comparison, whole):
    known = keras_names(whole)
    return {
        layer_name(comparison.floats.file.tensor(pair.float_output).name, known): pair.float_output
        for pair in comparison.pairs
    }


@pytest.fixture(scope="module")
def hearing(comparison):
    return Hearing(comparison.floats, comparison.moments)


def test_a_convolution_hears_by_its_weights(hearing, places, whole):
    (listener,) = hearing.listeners(places["project"])
    kernel = whole.keras_model.get_layer("expand").kernel.numpy()
    np.testing.assert_allclose(listener.gains, (kernel[0, 0] ** 2).sum(axis=1), rtol=1e-4)


def test_a_dense_layer_hears_through_a_mean_and_a_gate(hearing, places):
    (listener,) = hearing.listeners(places["pool"])
    assert listener.gains.shape == (12,)
    assert hearing.listeners(places["sum"])


def test_a_sum_is_heard_as_a_whole(hearing, places):
    """What `mix` adds to is heard with it: its error is held against the sum's power."""
    assert {one.signal for one in hearing.listeners(places["mix"])} == {places["sum"]}


def test_scores_are_heard_alike(hearing, places, comparison):
    place = places["tell"]
    power = comparison.moments[place].power
    assert hearing.ratio(place, power) == pytest.approx(1.0)
    assert hearing.ratio(place, np.zeros_like(power)) == 0.0


def test_a_channel_that_nothing_reads_is_not_heard(hearing, places, comparison):
    place = places["project"]
    (listener,) = hearing.listeners(place)
    errors = np.zeros_like(listener.gains)
    errors[2] = 1.0
    share = hearing.ratio(place, errors)
    assert share == pytest.approx(
        listener.gains[2] / (comparison.moments[place].power @ listener.gains)
    )
