from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mejiro.errors import PruneError
from mejiro.model import FloatModel
from mejiro.prune.allocate import allocate, counted
from mejiro.prune.channels import ChannelPruner
from mejiro.prune.clock import FileClock
from mejiro.prune.count import Counter, Measure
from mejiro.prune.options import ChannelOptions, Target
from mejiro.prune.timed import NEAR
from mejiro.race import Conditions, Pace
from mejiro.zoo.count import count_multiply_adds
from mejiro_runtime.card import Precision, Scores
from mejiro_runtime.preprocess import InputSpec, TensorType
from mejiro_runtime.types import Label

SIDE = 12
ROUNDS = 9
WIDTH = 32
SPEC = InputSpec(SIDE, SIDE, dtype=TensorType.FLOAT32)
LABELS = tuple(Label(place, f"class {place}") for place in range(4))
OPTIONS = ChannelOptions(multiple=4)


@pytest.fixture
def model(keras: Any, stir: Callable[[Any], Any]) -> FloatModel:
    """Return a classifier of three groups of 32 channels that may be cut."""
    keras.utils.set_random_seed(4)
    layers = keras.layers
    inputs = x = keras.Input((SIDE, SIDE, 3), name="pixels")
    for name in ("one", "two", "three"):
        x = layers.Conv2D(WIDTH, 3, padding="same", activation="relu", name=name)(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    network = stir(keras.Model(inputs, layers.Dense(4, name="classifier")(x)))
    return FloatModel("tiny", network, SPEC, LABELS, Scores.LOGITS)


@pytest.fixture
def pruner(model: FloatModel) -> ChannelPruner:
    tensors = np.random.default_rng(2).normal(size=(8, SIDE, SIDE, 3)).astype(np.float32)
    return ChannelPruner(model, tensors, OPTIONS)


class FakeClock:
    """Take a time for each channel of each layer up to `free`, and a fixed time besides."""

    def __init__(self, fixed: int = 3_000, free: int = WIDTH, **slopes: int) -> None:
        self.slopes, self.fixed, self.free, self.races = slopes, fixed, free, 0

    def __call__(self, models: Sequence[FloatModel], *, threads: int | None = None) -> list[Pace]:
        self.races += threads is None  # what groups are worth is told apart with one thread
        return [self._pace(model) for model in models]

    def _pace(self, model: FloatModel) -> Pace:
        took = self.fixed
        for name, slope in self.slopes.items():
            width = int(model.keras_model.get_layer(name).kernel.shape[-1])
            took += slope * min(width, self.free)
        # All rounds of a race are slow together, which ratios by round see through.
        took_by_round = tuple(took * (1_000 + number) // 10 for number in range(ROUNDS))
        return Pace("file", tuple(t + 50_000 for t in took_by_round), took_by_round, "fake engine")


def test_a_layer_that_saves_no_time_stays_whole(pruner: ChannelPruner) -> None:
    clock = FakeClock(one=0, two=100, three=100)
    widths, timing = pruner.plan(Target(0.7), clock)

    assert timing is not None
    assert widths.get("one", WIDTH) == WIDTH
    assert not timing.left["one"].worth_it
    assert set(timing.groups) <= {"two", "three"}
    assert all(one.worth_it and one.saved_ns > 0 for one in timing.groups.values())
    assert all(one.width == widths[name] for name, one in timing.groups.items())
    assert timing.engine == "fake engine"
    share = count_multiply_adds(pruner.cut(widths).model.keras_model)
    assert share <= 0.7 * count_multiply_adds(pruner.model.keras_model)


def test_without_a_clock_it_would_be_cut(pruner: ChannelPruner) -> None:
    widths, _ = pruner.plan(Target(0.5))

    assert widths["one"] < WIDTH


@pytest.mark.parametrize("slopes", [{"one": 100, "two": 100}, {"one": 10, "three": 150}])
@pytest.mark.parametrize("share", [0.8, 0.6])
def test_a_latency_is_reached_by_what_the_clock_says(
    pruner: ChannelPruner, slopes: dict[str, int], share: float
) -> None:
    widths, timing = pruner.plan(Target(share, Measure.LATENCY), FakeClock(fixed=500, **slopes))

    assert timing is not None
    # The widths go in steps of 4 of 32 channels, so that nearer may not be possible.
    assert share - NEAR - 4 / WIDTH <= timing.ratio.median <= share
    assert {name for name, width in widths.items() if width < WIDTH} <= set(slopes)


def test_a_latency_that_seemed_out_of_reach_is_tried_all_the_same(pruner: ChannelPruner) -> None:
    # Nothing but the middle layer takes time, so that counts say little of it.
    clock = FakeClock(fixed=100, two=1_000)
    widths, timing = pruner.plan(Target(0.3, Measure.LATENCY), clock)

    assert timing is not None
    assert clock.races > 1
    assert widths["two"] < WIDTH / 2
    assert timing.ratio.median < 1


def test_a_small_cut_that_saves_nothing_is_made_deeper(pruner: ChannelPruner) -> None:
    # The first eight channels of a layer cost nothing to keep, as where kernels work on tiles.
    clock = FakeClock(fixed=100, free=WIDTH - 8, one=100, two=100, three=100)
    _, timing = pruner.plan(Target(0.75, Measure.LATENCY), clock)

    assert timing is not None
    assert timing.ratio.median <= 0.75
    assert all(one.worth_it for one in timing.groups.values())
    assert all(one.width < WIDTH - 8 for one in timing.groups.values())


@pytest.mark.parametrize("target", [0.95, 0.6])
def test_a_group_stays_whole_or_is_no_wider_than_it_may_be(
    pruner: ChannelPruner, target: float
) -> None:
    counter = Counter(pruner.graph)
    limits = {"one": 14, "two": 31}
    widths = allocate(
        counted(counter, Measure.MACS),
        pruner.graph.groups,
        pruner.sensitivities,
        target=target,
        measure=Measure.MACS,
        multiple=4,
        at_most=limits,
    )
    assert all(widths[name] == WIDTH or widths[name] <= most for name, most in limits.items())
    assert counted(counter, Measure.MACS)(widths) <= target * counter.cost().multiply_adds


def test_what_no_cut_can_reach_is_refused_with_the_reason(pruner: ChannelPruner) -> None:
    with pytest.raises(PruneError, match="made the file no faster: .*one"):
        pruner.plan(Target(0.5), FakeClock(one=0, two=0, three=0))


def test_files_are_timed_for_real(pruner: ChannelPruner) -> None:
    heard: list[str] = []
    clock = FileClock(Precision.FP32, Conditions(rounds=3, frames=2), on_stage=heard.append)
    narrow = pruner.cut({"two": 8}).model
    paces = clock([pruner.model, narrow])

    assert [len(pace.infer_ns) for pace in paces] == [3, 3]
    assert all(pace.file == "tiny-fp32.tflite" for pace in paces)
    assert heard == ["exporting 2 candidates", "timing the candidates in turns"]
