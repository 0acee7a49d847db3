"""Drawings have places of their own, and JSON holds what they show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mejiro.errors import DataError, UsageError
from mejiro.explain import Explanation, Method
from mejiro.explain.report import MAX_SIDE, drawing_paths, find_pictures, to_json
from mejiro.explain.subject import Seen
from mejiro_runtime.preprocess import InputSpec
from mejiro_runtime.types import Classification, Label

LABELS = (Label(0, "red, crimson", "n01"), Label(1, "blue"))


def explanation(heat=None, **changes):
    about = {
        "model": "colours",
        "pixels": np.zeros((60, 80, 3), np.uint8),
        "spec": InputSpec(32, 32),
        "method": Method.GRADCAM,
        "top": (Classification(LABELS[0], 0.75), Classification(LABELS[1], 0.25)),
        "label": LABELS[0],
        "score": 0.75,
        "layer": "last",
    }
    if heat is not None:
        about["heat"] = heat
    return Explanation(**{**about, **changes})


def test_a_folder_stands_for_its_pictures_but_no_drawings(tmp_path):
    for name in ("b.png", "a.jpg", "a.gradcam.jpg", "b.features.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    names = [path.name for path in find_pictures([tmp_path, tmp_path / "a.gradcam.jpg"])]
    assert names == ["a.jpg", "b.png", "a.gradcam.jpg"]
    with pytest.raises(DataError, match="there is no picture"):
        find_pictures([tmp_path / "c.png"])


def test_two_pictures_are_never_drawn_to_one_file(tmp_path):
    pictures = [Path("x/a.png"), Path("y/a.png")]
    assert drawing_paths(pictures, Method.OCCLUSION, None) == [
        Path("x/a.occlusion.jpg"),
        Path("y/a.occlusion.jpg"),
    ]
    with pytest.raises(UsageError, match=r"x/a\.png and y/a\.png would both"):
        drawing_paths(pictures, Method.OCCLUSION, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        drawing_paths(pictures[:1], Method.OCCLUSION, tmp_path / "file")


def test_heat_is_told_in_numbers():
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 2
    value = json.loads(json.dumps(to_json(explanation(heat))))
    assert value["map"] == heat.tolist()
    assert value["seen"] == {"x": 10, "y": 0, "width": 60, "height": 60}
    assert value["peak"]["x"] >= 60
    assert value["peak"]["y"] < 15
    assert value["class"] == {"index": 0, "label": "red, crimson", "synset": "n01"}
    assert [answer["score"] for answer in value["top"]] == [0.75, 0.25]


def test_no_heat_has_no_peak_and_large_maps_are_averaged():
    value = to_json(explanation(np.zeros((100, 90), np.float32)))
    assert value["peak"] is None
    assert np.shape(value["map"]) == (MAX_SIDE, MAX_SIDE)
    heat = np.random.default_rng(0).random((56, 84), dtype=np.float32)
    expected = heat.reshape(28, 2, 28, 3).mean(axis=(1, 3))
    assert np.array(to_json(explanation(heat))["map"]) == pytest.approx(expected, abs=1e-6)


def test_stages_are_told_by_their_strongest_maps():
    features = np.zeros((5, 6, 20), np.float32)
    features[..., 7] = 9  # high everywhere: it says nothing of where
    features[2, 2, 11], features[0, 0, 3] = 5, 8
    stages = (Seen("late", features),)
    value = to_json(explanation(method=Method.FEATURES, stages=stages))
    (stage,) = value["stages"]
    assert stage["strongest"][:3] == [3, 11, 0]
    assert (stage["height"], stage["width"], stage["channels"]) == (5, 6, 20)
    assert "class" not in value
