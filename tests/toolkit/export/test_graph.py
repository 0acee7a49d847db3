"""Refuse models that are no classifiers of one picture, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mejiro.errors import ExportError
from mejiro.export.graph import Entry, trace
from mejiro.tensorflow import load_keras
from mejiro_runtime.types import Label


@pytest.fixture(scope="module")
def layers():
    return load_keras().layers


def refused(model, message):
    with pytest.raises(ExportError, match=message):
        trace(model, Entry.BYTES)


def test_two_inputs(tiny, layers):
    ends = [layers.Input((4,), name=name) for name in ("left", "right")]
    network = load_keras().Model(ends, layers.Add()(ends))
    refused(replace(tiny.model(), keras_model=network), r"2 inputs \(left, right\)")


def test_two_outputs(tiny, layers):
    pixels = layers.Input((tiny.SIDE, tiny.SIDE, 3))
    flat = layers.GlobalAveragePooling2D()(pixels)
    network = load_keras().Model(pixels, [flat, flat])
    refused(replace(tiny.model(), keras_model=network), "2 outputs")


def test_another_size(tiny, layers):
    pixels = layers.Input((9, 9, 3))
    network = load_keras().Model(pixels, layers.GlobalAveragePooling2D()(pixels))
    refused(replace(tiny.model(), keras_model=network), r"\[9, 9, 3\]")


def test_a_map_of_scores(tiny, layers):
    pixels = layers.Input((tiny.SIDE, tiny.SIDE, 3))
    network = load_keras().Model(pixels, layers.Conv2D(7, 1)(pixels))
    refused(replace(tiny.model(), keras_model=network), r"\[1, N\], is needed")


def test_labels_of_another_number(tiny):
    refused(replace(tiny.model(), labels=(Label(0, "one"),)), "7 scores for 1 labels")


def test_any_size_in_the_network_becomes_the_specified_one(tiny, layers):
    pixels = layers.Input((None, None, 3))
    scores = layers.Dense(tiny.CLASSES)(layers.GlobalAveragePooling2D()(pixels))
    model = replace(tiny.model(), keras_model=load_keras().Model(pixels, scores))
    traced = trace(model, Entry.BYTES)
    assert traced.inputs[0].shape.as_list() == [1, tiny.SIDE, tiny.SIDE, 3]
    assert traced.outputs[0].shape.as_list() == [1, tiny.CLASSES]
