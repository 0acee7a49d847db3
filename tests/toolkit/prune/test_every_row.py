"""Cut three tenths of the channels of every group of every row of the zoo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.prune import Counter, cut, find_groups, silenced
from mejiro.zoo import MODELS
from mejiro.zoo.count import count_multiply_adds, count_parameters
from mejiro_runtime.types import Label

LABELS = tuple(Label(index, f"class {index}") for index in range(4))
TOO_DEEP = frozenset({"inception-resnet-v2"})  # 244 convolutions, which no option makes fewer
ROWS = [pytest.param(name, marks=[pytest.mark.slow] if name in TOO_DEEP else []) for name in MODELS]


@pytest.mark.parametrize("name", ROWS)
def test_a_cut_row_answers_as_with_the_same_channels_zeroed(
    smallest_row: Any, stir: Any, keep_some: Any, name: str
) -> None:
    model = smallest_row(name, LABELS)
    whole = stir(model.keras_model)
    graph = find_groups(model)
    # All that may never be cut is known by heart.
    kept_whole = {group.reason for group in graph.groups.values() if group.reason}
    assert kept_whole == {"they are the model's input", "they are the model's output"}
    keep = keep_some(graph)
    inputs = np.random.default_rng(9).normal(size=(2, *model.input.shape[1:])).astype(np.float32)

    small = cut(graph, keep)

    answers = small(inputs, training=False).numpy()
    before = whole(inputs, training=False).numpy()
    with silenced(graph, keep):
        np.testing.assert_allclose(answers, whole(inputs, training=False), atol=1e-4)
    assert np.abs(answers - before).max() > 1e-5  # VGG has no norms, and so answers faintly
    cost = Counter(graph).cost(keep)
    assert cost.parameters == count_parameters(small) < 0.75 * count_parameters(whole)
    assert cost.multiply_adds == count_multiply_adds(small) < 0.75 * count_multiply_adds(whole)
