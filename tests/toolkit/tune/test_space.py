"""What is searched: limits, choices, what a model has by itself, and what it cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.errors import UsageError
from mejiro.train.plan import Plan, plan_phases
from mejiro.train.settings import Optimizer, OptimizerKind, Settings
from mejiro.tune.space import (
    ALPHA,
    AUGMENT,
    FREEZE,
    IMAGE_SIZE,
    RATE,
    Choices,
    Range,
    Space,
    check_settings,
    default_space,
    option_values,
    parse_rates,
)
from mejiro.zoo import BuildOptions

RATES = st.floats(1e-9, 100, exclude_min=True)


class Drawing:
    """Draw what it is told to, and remember what it was asked."""

    def __init__(self, **values: Any) -> None:
        self.values, self.asked = values, []

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        assert log
        self.asked.append(name)
        return float(self.values.get(name, low))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked.append(name)
        return self.values.get(name, choices[0])


def settings_for(
    model: str = "mobilenet-v2", *, weights: str | None = "pretrained", **changes: Any
) -> Settings:
    plan = Plan(**changes)
    return Settings(
        model, plan_phases(plan, pretrained=weights != "none", augment=False), weights=weights
    )


def spaced(settings: Settings, layers: int = 100, **dimensions: Any) -> Space:
    return default_space(settings, dimensions, layers=layers, augment="light")


@given(RATES, RATES)
def test_a_range_is_read_as_it_is_written(one: float, other: float) -> None:
    low, high = sorted((one, other))
    if low == high:
        return
    assert parse_rates([f"{low!r}..{high!r}"]) == Range(low, high)


@given(st.lists(RATES, min_size=1, max_size=5))
def test_rates_are_read_as_they_are_written(rates: list[float]) -> None:
    assert parse_rates([repr(rate) for rate in rates]) == Choices(tuple(rates))


@pytest.mark.parametrize(
    "words",
    [["1e-3..1e-5"], ["1e-3..1e-3"], ["..1e-3"], ["0..1"], ["fast"], ["-1"], ["nan"], ["0"],
     ["1e-5..inf"], ["1e-5..1e-3", "1e-2"], ["1e9"]],
)  # fmt: skip
def test_what_is_no_rate_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_rates(words)


def test_a_drawn_rate_has_three_digits() -> None:
    assert Range(1e-5, 1e-3).draw(Drawing(rate=0.000123456789), RATE) == 0.000123


def test_a_single_choice_is_not_drawn() -> None:
    drawing = Drawing()
    assert Choices((96, 96)).draw(drawing, IMAGE_SIZE) == 96
    assert drawing.asked == []


def test_dimensions_are_drawn_in_one_order() -> None:
    space = Space(
        {IMAGE_SIZE: Choices((96, 128)), RATE: Range(1e-5, 1e-3), FREEZE: Choices(("a", "b"))}
    )
    drawing = Drawing()
    space.draw(drawing)
    assert drawing.asked == [FREEZE, RATE, IMAGE_SIZE]
    assert space.searched == (FREEZE, RATE, IMAGE_SIZE)


def test_a_frozen_backbone_has_no_rate() -> None:
    space = Space({RATE: Range(1e-5, 1e-3), FREEZE: Choices(("default", "backbone"))})
    assert space.draw(Drawing(freeze="backbone")) == {FREEZE: "backbone"}
    assert set(space.draw(Drawing())) == {FREEZE, RATE}


def test_what_is_usual_stays_within_the_space() -> None:
    space = Space(
        {RATE: Range(1e-5, 1e-4), IMAGE_SIZE: Choices((96,))}, {RATE: 3e-4, IMAGE_SIZE: 96}
    )
    assert space.usual == {IMAGE_SIZE: 96}
    assert space.first() == {RATE: 1e-5, IMAGE_SIZE: 96}


def test_corners_hold_every_choice_and_both_ends() -> None:
    space = Space({RATE: Range(1e-5, 1e-3), AUGMENT: Choices(("none", "light", "strong"))})
    corners = space.corners()
    assert {corner[AUGMENT] for corner in corners} == {"none", "light", "strong"}
    assert {corner[RATE] for corner in corners} == {1e-5, 1e-3}


def test_a_space_has_no_other_dimension() -> None:
    with pytest.raises(UsageError, match="momentum"):
        Space({"momentum": Choices((0.9,))})


def test_the_default_freeze_is_no_option() -> None:
    values = option_values({FREEZE: "default", RATE: 1e-3})
    assert values == {FREEZE: None, RATE: 1e-3}
    assert option_values({FREEZE: "none"}) == {FREEZE: "none"}


def test_a_family_with_widths_is_searched_in_all_of_them() -> None:
    space = spaced(settings_for())
    assert set(space.dimensions) == {FREEZE, RATE, AUGMENT, ALPHA, IMAGE_SIZE}
    alphas = space.dimensions[ALPHA]
    assert isinstance(alphas, Choices)
    assert {0.35, 1.0, 1.4} <= set(alphas.values)
    assert space.dimensions[FREEZE] == Choices(("default", "all-but 50", "all-but 25"))
    assert space.dimensions[IMAGE_SIZE] == Choices((160, 192, 224))
    assert space.usual == {
        FREEZE: "default", RATE: 3e-4, AUGMENT: "light", ALPHA: 1.0, IMAGE_SIZE: 224
    }  # fmt: skip


@pytest.mark.parametrize("model", ["vgg16", "efficientnet-lite0", "googlenet"])
def test_one_width_with_weights_is_no_search(model: str) -> None:
    assert ALPHA not in spaced(settings_for(model)).dimensions


def test_without_pretrained_weights_nothing_is_frozen_and_no_width_is_searched() -> None:
    space = spaced(settings_for(weights="none"))
    assert set(space.dimensions) == {RATE, AUGMENT, IMAGE_SIZE}
    assert space.dimensions[RATE] == Range(1e-4, 1e-2)
    assert space.usual[RATE] == 1e-3


def test_the_compound_coefficient_decides_the_width() -> None:
    settings = replace(settings_for("efficientnet-b0"), build=BuildOptions(phi=0.0))
    assert ALPHA not in spaced(settings).dimensions


def test_sgd_is_searched_at_larger_rates() -> None:
    settings = replace(settings_for(), optimizer=Optimizer(OptimizerKind.SGD))
    assert spaced(settings).dimensions[RATE] == Range(1e-4, 1e-2)


def test_a_run_of_the_head_alone_has_no_rate_to_search() -> None:
    settings = settings_for(epochs=0)
    assert {RATE, FREEZE}.isdisjoint(spaced(settings).dimensions)
    with pytest.raises(UsageError, match="leave --rate out"):
        spaced(settings, rate=Range(1e-5, 1e-3))
    with pytest.raises(UsageError, match="--head-rate"):
        spaced(settings_for(), rate=Range(1e-5, 1e-3), freeze=Choices(("backbone",)))


def test_a_frozen_backbone_leaves_no_rate_to_search() -> None:
    assert RATE not in spaced(settings_for(), freeze=Choices(("backbone",))).dimensions


def test_unfreezing_leaves_no_depth_to_search() -> None:
    assert FREEZE not in spaced(settings_for(unfreeze="block_12")).dimensions


def test_a_shallow_backbone_has_fewer_depths() -> None:
    assert spaced(settings_for(), 3).dimensions[FREEZE] == Choices(("default", "all-but 1"))


def test_odd_sizes_have_even_ones_below_them() -> None:
    space = spaced(settings_for("inception-v3"))
    assert space.dimensions[IMAGE_SIZE] == Choices((224, 256, 299))


def test_small_models_keep_their_size() -> None:
    settings = replace(settings_for(), build=BuildOptions(image_size=64))
    assert spaced(settings).dimensions[IMAGE_SIZE] == Choices((64,))


def test_what_is_given_takes_the_place_of_what_is_usual() -> None:
    space = spaced(settings_for(), image_size=Choices((96,)), rate=Choices((1e-3,)))
    assert space.dimensions[IMAGE_SIZE] == Choices((96,))
    assert space.searched == (FREEZE, AUGMENT, ALPHA)


def test_a_model_of_a_file_keeps_its_architecture() -> None:
    settings = settings_for("run/model", weights=None)
    assert set(spaced(settings).dimensions) == {FREEZE, RATE, AUGMENT}
    with pytest.raises(UsageError, match="leave --image-size out"):
        spaced(settings, image_size=Choices((96,)))


def test_widths_without_weights_are_refused_with_those_that_have() -> None:
    settings = replace(settings_for(), build=BuildOptions(alpha=0.6))
    with pytest.raises(UsageError, match=r"widths 0\.35, .*not 0\.6"):
        check_settings(settings)
    check_settings(replace(settings, weights="none"))
    check_settings(replace(settings, build=BuildOptions(alpha=0.5)))


def test_a_choice_is_refused_that_the_family_has_not() -> None:
    settings = replace(settings_for("vgg16"), build=BuildOptions(alpha=0.5))
    with pytest.raises(UsageError, match="width multiplier"):
        check_settings(settings)
