"""A site is whole, the same bytes each time, and refused when a byte of it is another."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mejiro_targets
from mejiro.cli import main
from mejiro.errors import MejiroError, SiteError, UsageError
from mejiro.model import Artifact
from mejiro.site import SITE_NAME, SiteOptions, open_site, write_site
from mejiro.site.description import read_site
from mejiro_runtime.bundle import open_bundle
from mejiro_runtime.golden import read_arrays

WEB = Path(mejiro_targets.__file__).parent / "android" / "web"


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_site_holds_the_page_the_engine_and_the_models(
    tiny_site: Path, model_fixtures: Path
) -> None:
    value = json.loads((tiny_site / SITE_NAME).read_text(encoding="utf-8"))
    site = open_site(tiny_site)
    assert (site.name, site.title, site.target) == ("colours", "colours", "android-web")
    assert [model.file for model in site.models] == [
        "model/colours-int8.tflite", "model/colours-fp32.tflite",
    ]  # fmt: skip
    found = files_of(tiny_site)
    assert set(value["files"]) == set(found) - {SITE_NAME}
    assert {path for path in found if path.startswith("js/core/")} == {
        f"js/core/{name}" for name in files_of(WEB / "js" / "core")
    }
    assert "engine/litert/litert_wasm_internal.wasm" in found
    assert not any(path.startswith("engine/onnxruntime") for path in found)
    assert {path for path in found if path.startswith("LICENSES/")} == {
        "LICENSES/litertjs-core.txt"
    }
    # The bundle's own golden data, byte for byte.
    bundle = open_bundle(model_fixtures / "bundle")
    golden = bundle.manifest.golden
    frames = read_arrays(bundle.folder / golden.frames, golden.count)
    expected = {entry.artifact: entry for entry in golden.expected}
    for model in value["models"]:
        entry = expected[model["card"]["file"]]
        told, data = model["golden"], found[model["golden"]["file"]]
        assert (told["count"], told["order"]) == (golden.count, "bgr")
        outputs = read_arrays(bundle.folder / entry.outputs, golden.count)
        for frame, output, pixels, wanted in zip(
            told["frames"], told["outputs"], frames, outputs, strict=True
        ):
            shape = (frame["height"], frame["width"], 3)
            read = np.frombuffer(data, np.uint8, pixels.size, frame["offset"])
            assert (read.reshape(shape) == pixels).all()
            made = np.frombuffer(data, output["dtype"], wanted.size, output["offset"])
            assert made.tobytes() == wanted.tobytes()
        assert told["tolerances"][0]["backend"] == "litert.js"
        assert model["card"]["labels"]
    assert value["models"][0]["engine_version"] == "2.5.3"


def test_the_same_files_give_the_same_bytes(tiny_site: Path, model_fixtures: Path) -> None:
    other = tiny_site.parent / "again"
    write_site(model_fixtures / "bundle", other, options=SiteOptions(name="colours"))
    try:
        assert files_of(other) == files_of(tiny_site)
    finally:
        shutil.rmtree(other)


def test_exported_files_make_a_site_too(model_fixtures: Path, tmp_path: Path) -> None:
    models = model_fixtures / "models"
    artifacts = [
        Artifact.open(models / name) for name in ("colours-int8.onnx", "colours-int8.tflite")
    ]
    told: list[str] = []
    options = SiteOptions(title='Farben "und" 目白 & mehr')
    site = write_site(artifacts, tmp_path / "site", options=options, on_progress=told.append)
    # Of the two formats the one that runs several times faster.
    assert [model.file for model in site.models] == ["model/colours-int8.tflite"]
    assert site.models[0].raw["golden"]["file"] == "model/golden.bin"
    assert any("recording golden outputs" in line for line in told)
    manifest = site.folder / "app.webmanifest"
    if manifest.is_file():
        value = json.loads(manifest.read_text(encoding="utf-8"))
        assert value["name"] == options.title
        assert options.title is not None
        assert options.title.startswith(value["short_name"])


def test_nothing_is_replaced_that_is_no_site(
    tiny_site: Path, model_fixtures: Path, tmp_path: Path
) -> None:
    bundle = model_fixtures / "bundle"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(UsageError, match="exists already"):
        write_site(bundle, tiny_site)
    with pytest.raises(UsageError, match="is not a site, so it is not replaced"):
        write_site(bundle, mine, options=SiteOptions(replace=True))
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]
    with pytest.raises(UsageError, match="a line of at most 80 characters"):
        write_site(bundle, tmp_path / "x", options=SiteOptions(title="a\nb"))
    with pytest.raises(UsageError, match="a bundle brings its golden frames"):
        write_site(bundle, tmp_path / "x", options=SiteOptions(golden=mine))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


@pytest.fixture
def copied(tiny_site: Path, tmp_path: Path) -> Path:
    """Return a copy of a site that may be broken; the engine is linked, not copied."""
    copy = tmp_path / "copy"
    shutil.copytree(tiny_site, copy, copy_function=os.link)
    return copy


def rewrite(path: Path, data: bytes) -> None:
    path.unlink()  # a link to the original
    path.write_bytes(data)


BREAKS: dict[str, Callable[[Path], Any]] = {
    "has been altered": lambda f: rewrite(f / "model/colours-int8.tflite", b"x"),
    "holds more.txt, which its site.json does not list": lambda f: (f / "more.txt").touch(),
    "lacks js/core/client.js": lambda f: (f / "js/core/client.js").unlink(),
    "is a link or a device": lambda f: (f / "link").symlink_to("/etc/hostname"),
    "has no site.json, so it is no site": lambda f: (f / SITE_NAME).unlink(),
}


@pytest.mark.parametrize("told", list(BREAKS))
def test_a_broken_site_is_refused(copied: Path, told: str) -> None:
    open_site(copied)
    BREAKS[told](copied)
    with pytest.raises(SiteError, match=told):
        open_site(copied)


def change(value: Any, place: list[Any], new: Any) -> None:
    for key in place[:-1]:
        value = value[key]
    value[place[-1]] = new


@pytest.mark.parametrize(
    ("place", "new", "told"),
    [
        (["schema"], 2, "schema 2, this version reads 1"),
        (["models"], [], "has no model"),
        (["version"], "0" * 16, "is not that of its files"),
        (["name"], 7, "'name' must be str"),
        (["files", "../outside"], {"size_bytes": 1, "sha256": "0"}, "the site names the path"),
        (["files", "/etc/passwd"], {"size_bytes": 1, "sha256": "0"}, "the site names the path"),
        (["models", 0, "file"], "model/absent.tflite", "does not list it"),
        (["models", 0, "golden", "file"], "model/absent.bin", "does not list it"),
        (["models", 0, "sha256"], "0", "contradicts itself"),
        (["models", 0, "card", "task"], "x", "model card has unknown fields"),
        (["files"], [], "'files' must be dict"),
    ],
)
def test_a_list_that_is_wrong_is_refused(
    copied: Path, place: list[Any], new: Any, told: str
) -> None:
    value = json.loads((copied / SITE_NAME).read_text(encoding="utf-8"))
    change(value, place, new)
    rewrite(copied / SITE_NAME, json.dumps(value).encode())
    with pytest.raises(MejiroError, match=told) as caught:
        open_site(copied)
    assert "\n" not in str(caught.value)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just("../x"),
)


@given(data=st.data())
def test_any_list_is_read_or_refused_in_one_line(tiny_site: Path, data: st.DataObject) -> None:
    value = json.loads((tiny_site / SITE_NAME).read_text(encoding="utf-8"))
    place: Any = value
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans())):
            break
        place = place[key]
    place[key] = data.draw(VALUES)
    told = ""
    try:
        assert read_site(tiny_site, value).models
    except MejiroError as error:
        told = str(error)
    assert "\n" not in told


def test_the_command_writes_sites(
    model_fixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, out = str(model_fixtures / "bundle"), tmp_path / "site"
    words = ["bundle", bundle, "--target", "android-web", "--out", str(out)]
    assert main([*words, "--title", "Colours"]) == 0
    shown = capsys.readouterr().out
    assert "model/colours-int8.tflite in litert.js 2.5.3" in shown
    assert "Never run on a phone yet" in shown
    assert open_site(out).title == "Colours"
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    onnx = str(model_fixtures / "models" / "colours-int8.onnx")
    words = ["bundle", onnx, "--target", "android-web", "--out", str(out), "--replace", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"][0]["engine"] == "onnxruntime-web"
    assert "several times longer" in told["models"][0]["notes"][0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--target", "android-web", "--offline"], "it takes no --offline"),
        (["--target", "android-web", "--engine", "x"], "it takes no --engine"),
        (["--target", "android-web", "--wheels", "x"], "it takes no --wheels"),
        (["--target", "android-web", "--sign", "key"], "it takes no --sign"),
        (["--title", "Colours"], "--title is for apps"),
    ],
)
def test_what_does_not_go_with_apps_is_one_line(
    model_fixtures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    told: str,
) -> None:
    model = str(model_fixtures / "models" / "colours-int8.tflite")
    assert main(["bundle", model, "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    folder = ["bundle", str(tmp_path), "--out", str(tmp_path / "out"), "--target", "android-web"]
    assert main(folder) == 2
    assert "is no bundle's folder" in capsys.readouterr().err
