"""Scaling a channel changes nothing in float, and is refused where it would."""

from __future__ import annotations

import numpy as np
import pytest

from mejiro.errors import UsageError
from mejiro.quality.diagnose import scale_channel


@pytest.mark.parametrize(
    ("layer", "channel"),
    [("stem", 5), ("depthwise", 2), ("project", 0), ("stem_bn", 1)],
)
def test_float_stays_what_it_was(whole, layer, channel):
    pixels = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    before = whole.keras_model.predict(pixels, verbose=0)
    broken = scale_channel(whole, layer, channel, 200.0)
    after = broken.keras_model.predict(pixels, verbose=0)
    np.testing.assert_allclose(after, before, atol=1e-5)
    again = whole.keras_model.predict(pixels, verbose=0)
    np.testing.assert_array_equal(again, before)


def test_the_channel_is_larger(whole):
    from mejiro.tensorflow import load_keras

    keras = load_keras()

    def made(model):
        inner = keras.Model(
            model.keras_model.input, model.keras_model.get_layer("project_bn").output
        )
        return inner.predict(np.ones((1, 16, 16, 3), np.float32), verbose=0)

    ratio = made(scale_channel(whole, "project", 3, 200.0)) / made(whole)
    np.testing.assert_allclose(ratio[..., 3], 200, rtol=1e-4)
    np.testing.assert_allclose(np.delete(ratio, 3, axis=-1), 1, rtol=1e-4)


@pytest.mark.parametrize(
    ("layer", "channel", "factor", "words"),
    [
        ("nothing", 0, 2.0, "no layer 'nothing'"),
        ("project", 6, 2.0, "6 channels"),
        ("project", 0, -1.0, "positive"),
        ("mix", 0, 2.0, "passes no factor on"),
        ("tell", 0, 2.0, "no weights read"),
    ],
)
def test_what_cannot_be_scaled_is_refused(whole, layer, channel, factor, words):
    with pytest.raises(UsageError, match=words):
        scale_channel(whole, layer, channel, factor)
