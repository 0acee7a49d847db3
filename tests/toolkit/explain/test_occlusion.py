"""Hiding what a score depends on shows where that is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import UsageError
from mejiro.explain.occlusion import BATCH, GREY, Occlusion, occlusion_map
from mejiro_runtime.preprocess import InputSpec, Layout, TensorType

SPEC = InputSpec(20, 28, dtype=TensorType.FLOAT32, scale=(1 / 255,))


def reads_one_place(tensors):
    """Return the first channel of one place as the score of class 1."""
    return np.stack([[1 - t[12, 5, 0], t[12, 5, 0]] for t in tensors]).astype(np.float32)


def test_the_windows_over_the_one_place_that_counts_are_hot():
    tensor = np.ones(SPEC.shape, np.float32)
    heat = occlusion_map(reads_one_place, tensor, 1, spec=SPEC, options=Occlusion(4, 2))
    grey = GREY / 255
    assert heat.shape == (20, 28)
    assert heat[12, 5] == pytest.approx(1 - grey, abs=1e-6)  # under every window that counts
    assert heat[12, 5] == heat.max()
    assert not heat[:8].any()
    assert not heat[:, 10:].any()
    # For the other class the score rises there: nothing is hot.
    assert not occlusion_map(reads_one_place, tensor, 0, spec=SPEC, options=Occlusion(4, 2)).any()


def test_the_tensor_is_left_alone_and_progress_told():
    tensor = np.ones(SPEC.shape, np.float32)
    steps = []
    sizes = []

    def scores(tensors):
        sizes.append(len(tensors))
        return reads_one_place(tensors)

    occlusion_map(
        scores, tensor, 1, spec=SPEC, options=Occlusion(3, 1),
        on_progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert (tensor == 1).all()
    assert steps[-1] == (18 * 26, 18 * 26)
    assert max(sizes) == BATCH


def test_channels_first_are_hidden_too():
    spec = InputSpec(20, 28, layout=Layout.NCHW)
    tensor = np.full(spec.shape, 200, np.uint8)
    seen = []

    def scores(tensors):
        seen.append(tensors)
        return np.zeros((len(tensors), 2), np.float32)

    occlusion_map(scores, tensor, 0, spec=spec, options=Occlusion(6, 6))
    first = seen[1][0]
    assert (first[:, :6, :6] == GREY).all()
    assert (first[:, 6:] == 200).all()


@given(st.integers(8, 90), st.integers(8, 90), st.integers(1, 12), st.integers(1, 12))
def test_every_place_is_hidden(height, width, window, stride):
    spec = InputSpec(height, width)
    options = Occlusion(window, stride)
    if window >= min(height, width) or stride > window:
        with pytest.raises(UsageError):
            options.sizes(spec)
        return
    from mejiro.explain.occlusion import _starts

    for side in (height, width):
        covered = {
            start + step for start in _starts(side, window, stride) for step in range(window)
        }
        assert covered == set(range(side))


def test_by_default_the_window_is_a_seventh():
    assert Occlusion().sizes(InputSpec(224, 300)) == (32, 16)
    assert Occlusion(window=10).sizes(InputSpec(224, 224)) == (10, 5)
    assert Occlusion().sizes(InputSpec(2, 2)) == (1, 1)


@pytest.mark.parametrize("sizes", [(0, 1), (-3, None), (None, 0)])
def test_no_pixels_are_no_window(sizes):
    with pytest.raises(UsageError, match="1 or more"):
        Occlusion(*sizes)
