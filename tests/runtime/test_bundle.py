"""A bundle is opened as it was written, or refused with the reason."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mejiro_runtime.bundle import labels_text, open_bundle, read_labels
from mejiro_runtime.errors import BundleError, MejiroError, SpecError, UsageError
from mejiro_runtime.files import sha256_of
from mejiro_runtime.types import Label


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_whole_bundle_opens(handmade) -> None:
    folder = handmade.write(files=("colours.tflite", "other.onnx"))
    bundle = open_bundle(folder)
    assert bundle.folder == folder
    assert bundle.labels == handmade.labels
    assert bundle.manifest.golden.count == 3
    assert bundle.card().labels == handmade.labels
    assert bundle.model_path(bundle.card("other")) == folder / "models" / "other.onnx"
    assert bundle.model_path(bundle.card("other")).read_bytes() == b"simulated"


def test_a_bundle_may_be_reached_through_a_link(handmade, tmp_path) -> None:
    link = tmp_path / "current"
    link.symlink_to(handmade.write())
    assert open_bundle(link).manifest.name == "bundle"


def test_artifacts_are_found_by_name(handmade) -> None:
    bundle = handmade.open(files=("colours.tflite", "other.onnx"))
    assert bundle.card().file == "colours.tflite"
    assert bundle.card("other").file == bundle.card("other.onnx").file == "other.onnx"
    with pytest.raises(UsageError, match=r"no artifact 'third'; it has colours\.tflite, other"):
        bundle.card("third")


def test_the_toolkits_bundle_opens(model_fixtures) -> None:
    bundle = open_bundle(model_fixtures / "bundle")
    assert len(bundle.manifest.artifacts) == 4
    assert bundle.manifest.golden.count == 8
    assert [label.short for label in bundle.labels][::4] == ["red", "目白"]


@pytest.mark.requires_tool("sha256sum")
def test_sha256sum_agrees(model_fixtures) -> None:
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(
        command, cwd=model_fixtures / "bundle", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    checked = {line.partition(":")[0] for line in done.stdout.splitlines()}
    listed = open_bundle(model_fixtures / "bundle").manifest.files
    assert checked == {*listed, "manifest.json"}


# Damage. The bundle is made once; each example undoes what it did.


@pytest.fixture(scope="module")
def whole(handmade_class, tmp_path_factory) -> Path:
    """Return a valid bundle that every example restores."""
    folder: Path = handmade_class(tmp_path_factory.mktemp("damage")).write()
    return folder


@given(data=st.data())
@settings(max_examples=200)
def test_any_byte_that_changes_is_noticed(whole: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files_of(whole)))
    before = path.read_bytes()
    offset = data.draw(st.integers(0, len(before) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != before[offset]))
    try:
        path.write_bytes(before[:offset] + bytes([value]) + before[offset + 1 :])
        with pytest.raises(BundleError) as caught:
            open_bundle(whole)
    finally:
        path.write_bytes(before)
    message = str(caught.value)
    assert path.name in message
    assert "write it again with `mejiro bundle`" in message
    open_bundle(whole)


@given(data=st.data())
def test_any_change_of_length_is_noticed(whole: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files_of(whole)))
    before = path.read_bytes()
    keep = data.draw(st.integers(0, len(before)))
    more = data.draw(st.binary(max_size=4).filter(lambda more: before[:keep] + more != before))
    try:
        path.write_bytes(before[:keep] + more)
        with pytest.raises(BundleError, match=path.name):
            open_bundle(whole)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["manifest.json", "SHA256SUMS"])
def test_line_ends_count(whole: Path, name: str) -> None:
    path = whole / name
    before = path.read_bytes()
    try:
        path.write_bytes(before.replace(b"\n", b"\r\n"))
        with pytest.raises(BundleError, match=name):
            open_bundle(whole)
    finally:
        path.write_bytes(before)


def test_a_missing_file_is_named(handmade) -> None:
    folder = handmade.write()
    for path in files_of(folder):
        before = path.read_bytes()
        path.unlink()
        with pytest.raises(BundleError, match=path.name) as caught:
            open_bundle(folder)
        assert "lacks" in str(caught.value) or "not a whole bundle" in str(caught.value)
        path.write_bytes(before)
    open_bundle(folder)


@pytest.mark.parametrize("name", ["extra.txt", "models/extra.tflite", "new/deep/file", ".hidden"])
def test_an_added_file_is_named(handmade, name: str) -> None:
    folder = handmade.write()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(BundleError, match="does not list") as caught:
        open_bundle(folder)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", ["labels.txt", "manifest.json", "SHA256SUMS", "models", "stray"])
def test_a_link_is_refused_wherever_it_leads(handmade, tmp_path, name: str) -> None:
    folder = handmade.write()
    path = folder / name
    if path.exists():
        path.rename(tmp_path / "moved")
    else:
        (tmp_path / "moved").write_text("elsewhere", encoding="utf-8")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(BundleError, match=f"{name} is a link|has no {name}"):
        open_bundle(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(handmade) -> None:
    folder = handmade.write()
    os.mkfifo(folder / "pipe")
    with pytest.raises(BundleError, match="pipe is a link or a device"):
        open_bundle(folder)


def test_no_bundle_at_all(tmp_path) -> None:
    with pytest.raises(BundleError, match="is not a folder"):
        open_bundle(tmp_path / "absent")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BundleError, match="is not a folder"):
        open_bundle(tmp_path / "file")
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        open_bundle(tmp_path)


# Forgery: a manifest with true checksums, and untruths in it.


def forged(**changes: Any) -> Any:
    return lambda value: value.update(changes)


def test_a_newer_schema_says_so(handmade) -> None:
    folder = handmade.write()
    handmade.seal(folder, forged(schema=2, something_new=[1, 2]))
    with pytest.raises(BundleError, match="upgrade mejiro-runtime on this device"):
        open_bundle(folder)


def test_a_path_that_leaves_the_folder_says_so(handmade, tmp_path) -> None:
    folder = handmade.write()
    (tmp_path / "outside.txt").write_text("secret", encoding="utf-8")
    handmade.seal(folder, forged(labels="../outside.txt"))
    with pytest.raises(BundleError, match="leaves its folder"):
        open_bundle(folder)


def test_a_card_of_another_file_says_so(handmade) -> None:
    folder = handmade.write()
    handmade.seal(folder, lambda value: value["artifacts"][0].update(sha256="0" * 64))
    with pytest.raises(BundleError, match=r"contradicts itself about colours\.tflite"):
        open_bundle(folder)
    handmade.seal(folder, lambda value: value["artifacts"][0].update(file="absent.tflite"))
    with pytest.raises(BundleError, match=r"contradicts itself about absent\.tflite"):
        open_bundle(folder)


def test_checksums_that_list_something_else_say_so(handmade) -> None:
    folder = handmade.write()
    path = folder / "SHA256SUMS"
    path.write_text(path.read_text(encoding="utf-8") + "0" * 64 + "  more\n", encoding="utf-8")
    with pytest.raises(BundleError, match=r"SHA256SUMS does not list the files of manifest\.json"):
        open_bundle(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'{"schema": 1}'])
def test_a_manifest_that_is_none_is_refused(handmade, content: bytes) -> None:
    folder = handmade.write()
    (folder / "manifest.json").write_bytes(content)
    digest = sha256_of(folder / "manifest.json")
    (folder / "SHA256SUMS").write_text(f"{digest}  manifest.json\n", encoding="utf-8")
    with pytest.raises(MejiroError, match="manifest"):
        open_bundle(folder)


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_labels_are_text_or_refused(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_bytes(content)
    try:
        labels = read_labels(path)
    except BundleError:
        return
    assert len(labels) == content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    assert [label.index for label in labels] == list(range(len(labels)))


PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)


@given(st.lists(st.tuples(PRINTABLE, PRINTABLE), max_size=8))
def test_labels_survive_their_file(tmp_path_factory, names: list[tuple[str, str]]) -> None:
    labels = tuple(Label(i, name, synset) for i, (name, synset) in enumerate(names))
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_text(labels_text(labels), encoding="utf-8", newline="")
    assert read_labels(path) == labels


@pytest.mark.parametrize("label", [Label(0, "a\nb"), Label(0, "a", "n\t1"), Label(0, "\x1b[31m")])
def test_a_label_that_no_line_holds_is_refused(label: Label) -> None:
    with pytest.raises(SpecError, match="label 0"):
        labels_text((label,))


def test_labels_of_other_tools_are_read(tmp_path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("cat\nhot dog\n", encoding="utf-8")
    assert read_labels(path) == (Label(0, "cat"), Label(1, "hot dog"))


def test_a_manifest_is_not_read_without_end(handmade, monkeypatch) -> None:
    folder = handmade.write()
    monkeypatch.setattr("mejiro_runtime.bundle.MAX_MANIFEST_BYTES", 100)
    with pytest.raises(BundleError, match="larger than 100 bytes"):
        open_bundle(folder)


def test_the_manifest_is_plain_json(model_fixtures) -> None:
    text = (model_fixtures / "bundle" / "manifest.json").read_text(encoding="utf-8")
    assert json.loads(text)["schema"] == 1
    assert os.sep + "home" not in text
