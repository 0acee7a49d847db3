from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mejiro.errors import PruneError
from mejiro.prune import (
    CRITERIA,
    Cost,
    Counter,
    Criterion,
    Evidence,
    Measure,
    cut,
    find_groups,
    uniform_cut,
)
from mejiro.zoo.count import count_multiply_adds, count_parameters


@pytest.fixture
def network(build_network: Any) -> Any:
    def body(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(32, 3, name="one")(x)
        x = layers.DepthwiseConv2D(3, name="depthwise")(x)
        return layers.Conv2D(64, 1, name="two")(x)

    return build_network(body)


def test_the_uncut_network_costs_what_the_zoo_counts(network: Any) -> None:
    cost = Counter(find_groups(network)).cost()
    assert cost == Cost(count_multiply_adds(network), count_parameters(network))
    assert cost.multiply_adds == 16 * 27 * 32 + 4 * 9 * 32 + 4 * 32 * 64 + 64 * 5


@pytest.mark.parametrize("measure", [Measure.MACS, Measure.PARAMS])
@pytest.mark.parametrize("target", [0.3, 0.6, 1.0])
def test_a_uniform_cut_meets_its_target(network: Any, measure: Measure, target: float) -> None:
    graph = find_groups(network)
    scores = CRITERIA[Criterion.L2](graph, Evidence())

    keep = uniform_cut(graph, scores, target=target, measure=measure, multiple=4)

    small = cut(graph, keep)
    cost, whole = Cost(count_multiply_adds(small), count_parameters(small)), Counter(graph).cost()
    assert Counter(graph).cost(keep) == cost
    assert 0.7 * target < cost.share_of(whole, measure) <= target
    assert {len(kept) % 4 for kept in keep.values()} == {0}
    worst = max(set(range(64)) - set(keep["two"]), key=lambda i: scores["two"][i], default=None)
    assert worst is None or scores["two"][worst] <= scores["two"][keep["two"]].min()


def test_a_target_out_of_reach_is_refused(network: Any) -> None:
    graph = find_groups(network)
    scores = {name: np.ones(group.channels) for name, group in graph.cuttable.items()}
    with pytest.raises(PruneError, match="macs cannot be brought to 0.1 of the whole"):
        uniform_cut(graph, scores, target=0.1)
