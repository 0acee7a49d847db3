"""Equalization leaves what the network computes, and brings back what was scaled out of line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro.export.flatbuffer import TFLiteFile
from mejiro.export.layers import layers_of
from mejiro.export.quantize import convert_for_quantization
from mejiro.quality.repair.equalize import equalize, rescale
from mejiro.quality.repair.groups import channel_groups
from mejiro.quality.repair.looks import Looks

BROKEN, CHANNEL, FACTOR = "project", 3, 200.0
ACTIVATIONS = ("relu", "relu6", "swish")


@pytest.fixture(scope="module", params=ACTIVATIONS)
def network(request, make_model, make_source):
    return make_model(request.param), make_source(request.param)


def reach(looks: Looks, source: bytes) -> float:
    """Return how far the broken channel reaches, over the middle one of its layer."""
    file = TFLiteFile(source)
    (place,) = [
        one.outputs[0]
        for one in file.operators
        if BROKEN in layers_of(file.tensor(one.outputs[0]).name)
    ]
    reaches = looks.moments(source)[place].reach
    return float(reaches[CHANNEL] / np.median(reaches))


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_scaling_a_group_changes_nothing_that_comes_out(network, pictures, answers, data):
    model, source = network
    file = TFLiteFile(source)
    for group in channel_groups(file):
        exponent = st.floats(-3, 3)
        size = group.channels
        exponents = data.draw(st.lists(exponent, min_size=size, max_size=size))
        rescale(file, file.operators, group, 10.0 ** np.array(exponents))
    np.testing.assert_allclose(
        answers(file.to_bytes(), model, pictures), answers(source, model, pictures), atol=1e-4
    )


def test_equalizing_changes_nothing_that_comes_out(network, pictures, answers):
    model, source = network
    result = equalize(source, Looks(model, pictures, lambda text: None).moments(source))
    assert result.groups >= 2
    assert result.file != source
    assert len(result.file) < 1.01 * len(source) + 100
    np.testing.assert_allclose(
        answers(result.file, model, pictures), answers(source, model, pictures), atol=1e-4
    )


def test_a_scaled_channel_is_brought_back(
    whole, whole_source, broken_source, looks, pictures, answers
):
    sound = equalize(whole_source, looks.moments(whole_source))
    result = equalize(broken_source, looks.moments(broken_source))
    assert reach(looks, broken_source) == pytest.approx(
        FACTOR * reach(looks, whole_source), rel=0.2
    )
    assert reach(looks, result.file) == pytest.approx(reach(looks, sound.file), rel=0.5)
    assert result.widest > 50
    np.testing.assert_allclose(
        answers(result.file, whole, pictures), answers(whole_source, whole, pictures), atol=1e-4
    )


def test_a_dead_channel_stays_as_it_is(make_model, pictures, answers):
    model = make_model()
    layer = model.keras_model.get_layer("project_bn")
    gamma, beta, *rest = layer.get_weights()
    gamma[2] = beta[2] = 0.0
    layer.set_weights([gamma, beta, *rest])
    source = convert_for_quantization(model)
    result = equalize(source, Looks(model, pictures, lambda text: None).moments(source))
    found = answers(result.file, model, pictures)
    np.testing.assert_allclose(found, answers(source, model, pictures), atol=1e-4)
