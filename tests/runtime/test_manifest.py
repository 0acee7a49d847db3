"""A manifest says the same after JSON, contradicts itself nowhere, and stays in its folder."""

from __future__ import annotations

import copy
import json
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mejiro_runtime.errors import BundleError, MejiroError, SpecError
from mejiro_runtime.manifest import MANIFEST_SCHEMA, Manifest, check_relative

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def text(handmade_class, tmp_path_factory) -> str:
    """Return the text of a valid manifest."""
    folder = handmade_class(tmp_path_factory.mktemp("manifest")).write()
    return str((folder / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture
def value(text) -> dict[str, Any]:
    """Return the JSON of a valid manifest."""
    found: dict[str, Any] = json.loads(text)
    return found


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a JSON value."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        found += [(value, key) for key in value]
    elif isinstance(value, list):
        found += [(value, index) for index in range(len(value))]
    for container, key in list(found):
        found += places(container[key])
    return found


def test_a_manifest_survives_json(value) -> None:
    manifest = Manifest.from_json(value)
    assert manifest.to_json() == value
    assert Manifest.from_json(manifest.to_json()) == manifest


@given(value=ANYTHING)
def test_what_is_no_manifest_is_refused(value: Any) -> None:
    with pytest.raises(MejiroError):
        Manifest.from_json(value)


@given(data=st.data())
def test_a_damaged_manifest_is_refused_or_a_manifest(text, data: st.DataObject) -> None:
    damaged = json.loads(text)
    container, key = data.draw(st.sampled_from(places(damaged)))
    if data.draw(st.booleans()):
        del container[key]
    else:
        container[key] = data.draw(ANYTHING)
    try:
        read = Manifest.from_json(damaged)
    except MejiroError:
        return
    assert Manifest.from_json(read.to_json()) == read


KNOWN = [
    (),
    ("golden",),
    ("golden", "expected", 0),
    ("golden", "expected", 0, "tolerances", 0),
    ("artifacts", 0),
    ("artifacts", 0, "input"),
    ("artifacts", 0, "output"),
    ("files", "labels.txt"),
]
OPTIONAL = {"lineage", "evaluation", "background", "quantization", "pad_value", "crop_fraction"}
OPTIONAL |= {"order", "resize", "interpolation", "scale", "offset", "dtype", "layout"}


@pytest.mark.parametrize("where", KNOWN, ids=lambda where: ".".join(map(str, where)) or "top")
def test_every_field_is_known_and_most_are_needed(value, where: tuple[Any, ...]) -> None:
    inner = value
    for key in where:
        inner = inner[key]
    inner["surprise"] = 1
    with pytest.raises(SpecError, match="'surprise'"):
        Manifest.from_json(value)
    del inner["surprise"]
    for key in sorted(set(inner) - OPTIONAL):
        kept = inner.pop(key)
        with pytest.raises(MejiroError, match=key):
            Manifest.from_json(value)
        inner[key] = kept
    Manifest.from_json(value)


def test_a_newer_schema_asks_for_an_upgrade(value) -> None:
    with pytest.raises(BundleError, match="upgrade mejiro-runtime"):
        Manifest.from_json({**value, "schema": MANIFEST_SCHEMA + 1})


def test_a_bundle_has_artifacts_of_different_names(value) -> None:
    with pytest.raises(SpecError, match="at least one artifact"):
        Manifest.from_json({**value, "artifacts": []})
    with pytest.raises(SpecError, match="different names"):
        Manifest.from_json({**value, "artifacts": value["artifacts"] * 2})


@pytest.mark.parametrize("path", ["labels.txt", "golden/frames.npz", "golden/outputs.npz"])
def test_what_it_speaks_of_it_lists(value, path: str) -> None:
    files = {name: entry for name, entry in value["files"].items() if name != path}
    with pytest.raises(SpecError, match=f"speaks of {path}"):
        Manifest.from_json({**value, "files": files})


ESCAPES = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "//host/share",
    "../up",
    "a/../../up",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "C:/windows",
    "a:stream",
    "a\\b",
    "..\\up",
    "a\0b",
    "a\nb",
    "a\x1b[2J",
    "a\ud800",
]


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_that_could_leave_the_folder_is_refused(value, path: str) -> None:
    with pytest.raises(BundleError, match="leaves its folder or is not plain"):
        check_relative(path)
    damaged = copy.deepcopy(value)
    damaged["files"][path] = {"size_bytes": 0, "sha256": ""}
    with pytest.raises(MejiroError):
        Manifest.from_json(damaged)
    with pytest.raises(MejiroError):
        Manifest.from_json({**value, "labels": path})
    with pytest.raises(MejiroError):
        Manifest.from_json({**value, "golden": {**value["golden"], "frames": path}})


@given(st.text(max_size=12) | st.from_regex(r"[a./\\:]{1,8}", fullmatch=True))
def test_what_is_let_through_stays_below_any_folder(path: str) -> None:
    try:
        checked = check_relative(path)
    except BundleError:
        return
    assert checked == path
    joined = PurePosixPath("/bundle") / path
    assert joined.parent == PurePosixPath("/bundle") or PurePosixPath("/bundle") in joined.parents
    assert ".." not in joined.parts


@pytest.mark.parametrize("path", ["a", "models/lite0-int8.tflite", "目白/é.txt", "a b", ".hidden"])
def test_plain_paths_are_let_through(path: str) -> None:
    assert check_relative(path) == path
