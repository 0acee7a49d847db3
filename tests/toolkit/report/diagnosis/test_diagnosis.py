"""The page of a diagnosis tells the worst layer, its cause and all figures, and stays whole."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mejiro.report.diagnosis import write_diagnosis
from mejiro.report.diagnosis.findings import (
    Alone,
    Cause,
    CauseKind,
    Diagnosis,
    LayerFindings,
    Noise,
    Scored,
    Spread,
)
from mejiro.report.diagnosis.page import diagnosis_page
from mejiro.report.diagnosis.words import decibels, lead_words


def layer(place: int, own: float, *causes: Cause, alone: Alone | None = None) -> LayerFindings:
    return LayerFindings(
        place=place,
        name=f"block{place}",
        tensor=f"net/block{place}/conv",
        operator="CONV_2D",
        precision="int8",
        shape=(1, 4, 4, 8),
        noise=Noise(plain=40.0, heard=own - 3, given=35.0, own=own, rounding=own, weights=None),
        cosine=0.98765,
        spread=Spread(0.9, 0.5, 0.0123, 180.0, 3, 2.5),
        causes=causes,
        alone=alone,
    )


HUGE = Cause(CauseKind.HUGE_CHANNEL, "channel 3 is <huge>")
INHERITED = Cause(CauseKind.INHERITED, "most of its error came in with its inputs")
WORST = layer(7, 2.0, HUGE, INHERITED, alone=Alone(12.5, 0.4))
OTHERS = tuple(layer(place, 40.0 + place / 10, INHERITED) for place in range(30) if place != 7)
DIAGNOSIS = Diagnosis(
    file="tiny-int8.tflite",
    model="tiny",
    data="birds",
    pictures=32,
    layers=(WORST, *OTHERS),
    unmatched=("net/<lost>",),
    scored=Scored(200, 0.9, 0.75, 0.7),
)


def text_of(page: str) -> str:
    body = re.sub(r"<(style|svg).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_lead_says_what_was_found():
    words = lead_words(DIAGNOSIS)
    assert "75.0% top-1 against 90.0% in float" in words
    assert "One layer stands out: 'block7'" in words
    assert "channel 3" in words


def test_equal_layers_do_not_stand_out():
    words = lead_words(replace(DIAGNOSIS, layers=OTHERS, scored=None))
    assert words.startswith("No single layer stands out")


def test_without_labels_answers_are_held_against_float():
    words = lead_words(replace(DIAGNOSIS, scored=Scored(200, None, None, 0.7)))
    assert "70.0% of its first answers are those of float" in words


def test_the_page_has_the_figures_and_escapes_names():
    page = diagnosis_page(DIAGNOSIS)
    text = text_of(page)
    assert "<huge>" not in page
    assert "<lost>" not in page
    for word in ("12.5", "0.9877", "1.23", "180", "10 more", "huge channel", "block7"):
        assert word in text or word in page
    assert page.count("<svg") >= 2
    assert not re.search(r"(src|href)=\"(?!#|data:)", page)


def test_a_diagnosis_of_one_layer_and_no_scores_has_a_page():
    text = text_of(
        diagnosis_page(replace(DIAGNOSIS, layers=(OTHERS[0],), scored=None, unmatched=()))
    )
    assert "Not compared" not in text


def test_it_is_written_into_a_new_folder(tmp_path):
    path = write_diagnosis(tmp_path / "new" / "out", DIAGNOSIS)
    assert path.name == "diagnosis.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(("value", "words"), [(None, "–"), (120.0, "exact"), (-3.14159, "-3.1")])
def test_decibels(value, words):
    assert decibels(value) == words
