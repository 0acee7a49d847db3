"""Options of augmentation are read, kept within their limits, and come back from JSON."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro.data.augmentation import LIMITS, PRESETS, Augmentation, Flip, parse_augmentation
from mejiro.errors import UsageError
from mejiro_runtime.errors import SpecError

options = st.builds(
    Augmentation,
    flip=st.sampled_from(Flip),
    **{name: st.floats(0, limit) for name, limit in LIMITS.items()},
)


@given(options)
def test_json_gives_back_the_same(augmentation):
    text = json.dumps(augmentation.to_json(), allow_nan=False)
    assert Augmentation.from_json(json.loads(text)) == augmentation


def test_what_json_leaves_out_is_nothing():
    assert Augmentation.from_json({}) == Augmentation()
    with pytest.raises(SpecError, match="augmentation has unknown fields: 'rotation'"):
        Augmentation.from_json({"rotation": 3})
    with pytest.raises(SpecError, match="'flip' must be one of none, horizontal, both"):
        Augmentation.from_json({"flip": "vertical"})
    with pytest.raises(UsageError, match="augmentation 'shift' must be 0 to 1, found 7"):
        Augmentation.from_json({"shift": 7})


@pytest.mark.parametrize("name", LIMITS)
def test_every_option_has_its_limits(name):
    Augmentation(**{name: LIMITS[name]})
    for value in (-0.1, LIMITS[name] + 0.1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="must be 0 to"):
            Augmentation(**{name: value})


def test_presets_grow():
    assert list(PRESETS) == ["none", "light", "standard", "strong"]
    assert not PRESETS["none"].any
    assert all(PRESETS[name].any for name in ("light", "standard", "strong"))
    assert not PRESETS["standard"].mixes
    assert PRESETS["strong"].mixes
    for name in ("shift", "zoom", "brightness"):
        assert 0 < getattr(PRESETS["light"], name) <= getattr(PRESETS["standard"], name)


def test_changes_are_made_to_a_preset():
    found = parse_augmentation("standard", ["rotation=3", "flip=both", "mixup=0.2", "hue = 0"])
    assert (found.rotation_degrees, found.flip, found.mixup, found.hue) == (3.0, Flip.BOTH, 0.2, 0)
    assert found.zoom == PRESETS["standard"].zoom
    assert parse_augmentation("none", ["rotation_degrees=3", "shear=4"]) == Augmentation(
        rotation_degrees=3.0, shear_degrees=4.0
    )
    assert parse_augmentation("light") == PRESETS["light"]
    assert parse_augmentation("none", ["zoom=0.1", "zoom=0.2"]).zoom == 0.2


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("medium", [], "no augmentation 'medium'; choose none, light, standard, strong"),
        (
            "none",
            ["rotation"],
            "'rotation' changes no augmentation; give NAME=VALUE with flip, rot",
        ),
        ("none", ["turn=3"], "'turn=3' changes no augmentation"),
        ("none", ["rotation=wide"], "'rotation=wide' must give a number"),
        ("none", ["rotation=nan"], "'rotation=nan' must give a number"),
        ("none", ["rotation=inf"], "'rotation=inf' must give a number"),
        ("none", ["rotation="], "'rotation=' must give a number"),
        ("none", ["rotation=200"], "augmentation 'rotation' must be 0 to 180, found 200"),
        ("none", ["flip=up"], "flip is one of none, horizontal, both, found 'up'"),
    ],
)
def test_what_cannot_be_read_is_named(preset, changes, message):
    with pytest.raises(UsageError) as caught:
        parse_augmentation(preset, changes)
    assert message in str(caught.value)


@given(st.text(max_size=20))
def test_no_text_is_a_traceback(text):
    with contextlib.suppress(UsageError):
        parse_augmentation("standard", [text])
