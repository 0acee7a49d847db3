"""What may be chosen depends on the accuracy that is recorded; what is, on what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime import tune as module
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.card import ArtifactCard, Format, OutputSpec, Precision
from mejiro_runtime.errors import ModelError
from mejiro_runtime.intervals import median_ratio
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.tune import Timed, Way, accurate_enough, recorded_top1, tune, ways_of

MS = 1_000_000
PLAIN = ArtifactCard(
    "a.tflite", Format.TFLITE, Precision.INT8, InputSpec(8, 8), OutputSpec(), 1, "0" * 64
)


@pytest.fixture
def make_card(handmade):
    def make(file: str, top1: Any = None, precision: Precision = Precision.INT8) -> ArtifactCard:
        evaluation = None if top1 is None else {"top1": top1}
        return replace(handmade.card(file), evaluation=evaluation, precision=precision)

    return make


def names(cards: list[ArtifactCard]) -> list[str]:
    return [card.file for card in cards]


def test_what_loses_too_much_is_left_out(make_card) -> None:
    cards = [
        make_card("float.tflite", 0.75, Precision.FP32),
        make_card("good.tflite", 0.74),
        make_card("bad.tflite", 0.70),
    ]
    allowed, notes = accurate_enough(cards, cards[0], 1.0)
    assert names(allowed) == ["float.tflite", "good.tflite"]
    assert notes == ["bad.tflite is left out: it loses 5.0 points of top-1"]
    assert names(accurate_enough(cards, cards[0], 5.0)[0]) == names(cards)
    assert names(accurate_enough(cards, cards[0], 0.0)[0]) == ["float.tflite"]


def test_what_has_no_record_is_compared_within_a_precision(make_card) -> None:
    cards = [
        make_card("one.tflite", 0.75),
        make_card("two.onnx"),
        make_card("half.onnx", None, Precision.FP16),
    ]
    allowed, notes = accurate_enough(cards, cards[0], 1.0)
    assert names(allowed) == ["one.tflite", "two.onnx"]
    assert notes == [
        "two.onnx: accuracy not recorded, taken to be that of others like it",
        "half.onnx is left out: its accuracy is not recorded",
    ]


def test_without_any_record_the_precision_of_the_default_counts(make_card) -> None:
    cards = [make_card("a.tflite", None, Precision.FP32), make_card("b.tflite")]
    allowed, notes = accurate_enough(cards, cards[0], 1.0)
    assert names(allowed) == ["a.tflite"]
    assert notes == ["no accuracy is recorded, so only artifacts in fp32 are compared"]
    assert names(accurate_enough(cards, cards[1], 1.0)[0]) == ["b.tflite"]


@pytest.mark.parametrize("top1", [True, "0.7", -0.1, 1.5, float("nan"), [0.7]])
def test_a_record_that_is_none_does_not_count(make_card, top1: Any) -> None:
    assert recorded_top1(make_card("a.tflite", top1)) is None


@given(
    st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=1, max_size=6),
    st.floats(0, 100),
)
def test_nothing_that_is_allowed_loses_more_than_allowed(
    scores: list[float], max_drop: float
) -> None:
    cards = [
        replace(PLAIN, file=f"{i}.tflite", evaluation={"top1": s}) for i, s in enumerate(scores)
    ]
    allowed, notes = accurate_enough(cards, cards[0], max_drop)
    best = max(scores)
    for card, score in zip(cards, scores, strict=True):
        assert (card in allowed) == ((best - score) * 100 <= max_drop + 1e-9)
    assert len(allowed) + len(notes) == len(cards)
    assert allowed


def timed(card: ArtifactCard, *ms: float, threads: int = 1, variant: str = "") -> Timed:
    values = tuple(round(value * MS) for value in ms)
    return Timed(Way(card, variant, threads), "simulated", "1.0", values)


def test_the_fastest_is_chosen_whatever_its_precision(make_card) -> None:
    slow = timed(make_card("int8.tflite", 0.7), 10, 11, 10, 11, 10, 11)
    fast = timed(make_card("fp32.tflite", 0.7, Precision.FP32), 5, 6, 5, 6, 5, 6)
    assert module._choose([slow, fast], slow.way) == fast


def test_among_equals_accuracy_counts_then_the_default_then_threads(make_card) -> None:
    rough = timed(make_card("rough.tflite", 0.70), 10, 12, 10, 12, 10)
    exact = timed(make_card("exact.tflite", 0.71), 11, 11, 10, 12, 11)
    assert module._choose([rough, exact], rough.way) == exact
    card = make_card("same.tflite", 0.7)
    one = timed(card, 10, 12, 10, 12, 10, threads=1)
    two = timed(card, 11, 11, 10, 12, 11, threads=2)
    four = timed(card, 11, 11, 11, 11, 11, threads=4)
    assert module._choose([one, two, four], two.way) == two
    assert module._choose([four, two, one], four.way._replace(threads=8)) == one


@given(st.lists(st.lists(st.integers(1, 1000), min_size=5, max_size=5), min_size=1, max_size=6))
def test_no_choice_is_slower_than_another_beyond_chance(rounds: list[list[int]]) -> None:
    raced = [timed(PLAIN, *values, threads=i + 1) for i, values in enumerate(rounds)]
    chosen = module._choose(raced, raced[0].way)
    fastest = min(raced, key=lambda one: one.median_ns)
    assert not median_ratio(chosen.label_ns, fastest.label_ns).slower


def test_the_default_races_even_if_it_was_slow(make_card) -> None:
    card = make_card("a.tflite")
    tried = [timed(card, 100.0, threads=1), timed(card, 10.0, threads=2)]
    ways = module._finalists(tried, tried[0].way, {card.file})
    assert ways == [tried[0].way, tried[1].way]


def test_each_artifact_races_once_for_the_ladder(make_card) -> None:
    allowed, other = make_card("a.tflite"), make_card("b.tflite")
    tried = [timed(allowed, 10.0, threads=2)]
    tried += [timed(other, 30.0, threads=1), timed(other, 1.0, threads=2)]
    ways = module._finalists(tried, tried[0].way, {allowed.file})
    assert ways == [tried[0].way, tried[2].way]


def test_as_many_threads_are_tried_as_there_are_cpus(make_card, simulated_engine, monkeypatch):
    monkeypatch.setattr(module, "default_threads", lambda: 4)
    assert [way.threads for way in ways_of(make_card("a.tflite"))] == [4, 2, 1]
    monkeypatch.setattr(module, "default_threads", lambda: 3)
    assert [way.threads for way in ways_of(make_card("a.tflite"))] == [3, 2, 1]


def test_tuning_measures_every_way_and_says_what_failed(
    handmade, bundle, simulated_engine, quick_tune, monkeypatch
) -> None:
    real = module.open_model
    stages: list[str] = []

    def fails_on_onnx(path, card, **options):
        if card.file.endswith("onnx"):
            raise ModelError("broken file")
        return real(path, card, **options)

    monkeypatch.setattr(module, "open_model", fails_on_onnx)
    found = tune(
        open_bundle(Path(bundle)), on_progress=lambda stage, done, total: stages.append(stage)
    )
    assert {one.way.card.file for one in found.raced} == {"colours.tflite"}
    assert found.default.to_default.median == 1
    assert found.notes[1:] == ("colours.onnx cannot run on onnxruntime: broken file",)
    assert set(stages) == {"trying", "racing"}
    assert len(found.choice.label_ns) == module.OPENINGS * module.ROUNDS
    assert found.choice in found.raced


def test_a_default_that_cannot_be_opened_is_an_error(
    bundle, simulated_engine, quick_tune, monkeypatch
) -> None:
    def fails(path, card, **options):
        raise ModelError("broken file")

    monkeypatch.setattr(module, "open_model", fails)
    with pytest.raises(ModelError, match="broken file"):
        tune(open_bundle(Path(bundle)))
