"""Check that a demonstration's reports say what was measured, and what was not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import cv2

from mejiro.demo import DemoResult
from mejiro.demo.page import demo_page
from mejiro.demo.picture import HEIGHT, PIXELS_PER_UNIT, WIDTH, write_picture
from mejiro.demo.words import warnings

MakeResult = Callable[..., DemoResult]


def text_of(html: str) -> str:
    """Return a page's text, with single spaces and without the inside of styles."""
    body = re.sub(r"<(style|title)>.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_page_shows_the_figures_that_were_measured(make_result: MakeResult) -> None:
    text = text_of(demo_page(make_result()))
    assert "5.27 MB" in text
    assert "3.5 times smaller than float" in text
    assert "3.27 ms" in text  # frame to label
    assert "float takes 2.8 times as long" in text
    assert "test-engine 9.8.7, TEST, 2 threads" in text
    assert "Test CPU, 2 CPUs, x86_64" in text
    assert "1.12" in text  # overhead
    assert "2 packages, 350 MB, made with uv: numpy 2.4.6, mejiro-runtime 0.1.0" in text
    assert "together 31.5" in text


def test_agreement_is_not_called_accuracy(make_result: MakeResult) -> None:
    text = text_of(demo_page(make_result()))
    assert "as float 99.0 % same first answer on 96 crops: agreement, not accuracy" in text
    assert "so no accuracy was measured" in text
    assert "96 crops, 12 of each of 8 photographs" in text
    assert "top-1" not in text


def test_with_labelled_pictures_accuracy_is_shown_beside_that_of_float(
    make_result: MakeResult,
) -> None:
    text = text_of(demo_page(make_result(scored=True)))
    assert "top-1 88.5 % float has 89.0%, on 200 pictures" in text
    assert "on 200 labelled pictures of my pictures. 1 more could not be read" in text
    assert "no accuracy was measured" not in text


def test_answers_are_escaped_and_what_is_right_is_marked(make_result: MakeResult) -> None:
    html = demo_page(make_result())
    assert "<b>thing</b>" not in html
    assert '<span class="good">tabby</span>' in html
    assert "<b>thing</b> & more 1" in text_of(html).replace("&lt;", "<")
    assert "3 of 4 frames" in text_of(html)
    assert "Note: no class of ImageNet stands for it." in text_of(html)
    # The labels of this test have no tripod, whatever ImageNet has.
    assert "Note: no class of this model stands for it." in text_of(html)


def test_the_frames_that_count_are_those_with_a_class(make_result: MakeResult) -> None:
    result = make_result()
    # Of LABELS, only tabby and espresso name a scene; all scenes were seen as tabby, 3 of 4 times.
    assert result.recognised == (3, 8)
    assert result.same_on_video() == (40, 40)
    assert "3 of the 8 frames" in text_of(demo_page(result))


def test_nothing_is_passed_over_in_silence(make_result: MakeResult) -> None:
    assert warnings(make_result()) == []
    backend = {**make_result().artifacts[0].bench["backend"], "fallback": "no such engine"}
    result = make_result(own=False, changes={"steady": False, "backend": backend})
    text = text_of(demo_page(result))
    assert "The bundle ran in the environment that wrote it" in text
    assert "int8 TFLite: the machine did not become steady in 21 warm-up frames" in text
    assert "int8 ONNX ran on a fallback: no such engine." in text
    assert "environment the one that the toolkit runs in" in text
    assert "environment of its own" not in text


def test_the_page_needs_nothing_but_itself(make_result: MakeResult) -> None:
    html = demo_page(make_result())
    assert "<script" not in html
    places = re.findall(r'\b(?:src|href)="([^"]*)"', html)
    assert len([place for place in places if place.startswith("data:image/jpeg")]) == 10
    assert all(place.startswith(("data:", "#")) for place in places)


def test_the_report_for_programs_is_plain_json(make_result: MakeResult) -> None:
    for scored in (False, True):
        value = json.loads(json.dumps(make_result(scored=scored).to_json(), allow_nan=False))
        assert value["schema"] == 1
        assert [entry["file"] for entry in value["artifacts"]] == [
            "net-int8.tflite",
            "net-int8.onnx",
        ]
        assert len(value["artifacts"][0]["video"]["frame_to_label_ns"]) == 40
        assert value["scenes"][0]["seen"] == {"tabby": 3, "<b>thing</b> & more": 1}
        assert (value["artifacts"][0]["evaluation"] is None) is not scored


def test_the_picture_is_written_whole(make_result: MakeResult, tmp_path: Path) -> None:
    path = tmp_path / "out" / "summary.jpg"
    write_picture(path, make_result())
    picture = cv2.imread(str(path))
    assert picture.shape == (HEIGHT * PIXELS_PER_UNIT, WIDTH * PIXELS_PER_UNIT, 3)
    assert [entry.name for entry in path.parent.iterdir()] == ["summary.jpg"]
